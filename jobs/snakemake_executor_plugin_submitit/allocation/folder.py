"""Name the files in the executor's folder, which the main process and the allocations share.

lease.json                         who runs the sweep
logs/ARRAY/LABEL.log               what a task printed
batches/TOKEN/intent.json          what was going to be submitted, synced before sbatch is called
              arrays               array job ids as sbatch returned them, one a line, each with its first task,
                                   and where its tasks are packs the number of their members
              submission-FIRST.sh  the script of the array whose first task is FIRST; of packs submission-FIRST-COUNT.sh
              command-KEY.sh       a command that is too long for an argument
              warm-I.lines         what a warm process runs, member I and others; warm-I.said: what it says
              slurm-JOB.out        what SLURM itself wrote about a task
              claims/I             which allocation runs task I, or a tombstone: none ever may
              lives/I beats/I      its newest start, and the sign that it runs
              lives/pack-JOB       the newest start of a pack, which alone claims members
              lives/I.fence        no start of it may run any more
              verdicts/I.json      how it ended
              closed/I             the main process has dealt with it
              done                 with all of them
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .record import dataclass

SUBFOLDERS = ("claims", "lives", "beats", "verdicts", "closed")


@dataclass(frozen=True)
class ExecutorFolder:
    """The paths in the executor's folder of a working directory (`.snakemake/submitit`)."""

    path: Path

    @property
    def lease(self) -> Path:
        return self.path / "lease.json"

    @property
    def batches(self) -> Path:
        return self.path / "batches"

    def log(self, array: str, label: str) -> Path:
        return self.path / "logs" / array / f"{label}.log"

    def logs(self) -> Iterator[Path]:
        """Find the logs that there are."""
        return (self.path / "logs").glob("*/*.log")


@dataclass(frozen=True)
class BatchFolder:
    """The paths of a batch's files; `index` numbers its tasks."""

    path: Path

    def create(self) -> None:
        """Make the folder and its subfolders, for nobody but their owner."""
        for name in SUBFOLDERS:
            (self.path / name).mkdir(parents=True, exist_ok=True, mode=0o700)

    @property
    def intent(self) -> Path:
        return self.path / "intent.json"

    @property
    def arrays(self) -> Path:
        return self.path / "arrays"

    @property
    def done(self) -> Path:
        return self.path / "done"

    def script(self, first: int, members: int | None = None) -> Path:
        """Return the script of an array; of an array of packs with the number of members."""
        return self.path / f"submission-{first}{'' if members is None else f'-{members}'}.sh"

    def command(self, key: str) -> Path:
        return self.path / f"command-{key}.sh"

    def slurm_output(self, job_id: str) -> Path:
        """Return the file for SLURM's own output. `job_id` may be sbatch's pattern `%A_%a`."""
        return self.path / f"slurm-{job_id}.out"

    def claim(self, index: int) -> Path:
        return self.path / "claims" / str(index)

    def life(self, index: int) -> Path:
        return self.path / "lives" / str(index)

    def lines(self, index: int) -> Path:
        """Return what the names of the files begin with that a warm process reads and writes."""
        return self.path / f"warm-{index}"

    def pack_life(self, owner: str) -> Path:
        return self.path / "lives" / f"pack-{owner}"

    def lives_of_packs(self) -> Iterator[Path]:
        """Find the starts of packs that there were."""
        return (self.path / "lives").glob("pack-*")

    def fence(self, index: int) -> Path:
        return self.path / "lives" / f"{index}.fence"

    def beat(self, index: int) -> Path:
        return self.path / "beats" / str(index)

    def verdict(self, index: int) -> Path:
        return self.path / "verdicts" / f"{index}.json"

    def mark_closed(self, index: int) -> None:
        """Record that the main process has dealt with the task."""
        (self.path / "closed" / str(index)).touch()

    def closed(self) -> set[int]:
        """Return the tasks that the main process has dealt with."""
        return _numbers(self.path / "closed")

    def verdicts(self) -> set[int]:
        """Return the tasks that have a verdict, by one look at the folder."""
        return _numbers(self.path / "verdicts")

    def last_closed(self) -> float:
        """Return when a task was last dealt with, by the file system's clock."""
        return (self.path / "closed").stat().st_mtime


def _numbers(folder: Path) -> set[int]:
    try:
        return {int(path.stem) for path in folder.iterdir() if path.stem.isdigit()}
    except FileNotFoundError:
        return set()
