"""What a task that runs as a member of a pack knows of it: whose it is, its share of memory, its GPU's sharers."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from . import processes
from .record import asdict, dataclass

VARIABLE = "SUBMITIT_PACK"  # how a pack tells its members; commands do not see it
GIVEN_BACK = 144  # the exit code of a member that is to run again in a later start of the pack
HIT_BY_NEIGHBOUR = 145  # ... again at once
NEARLY = 0.9  # of its share: what was killed for memory at so much was killed for its own
# What CUDA says to every client of a GPU's MPS server when one of them has caused a fault.
SHARED_FAULTS = (
    "mps client", "mps_client_terminated", "mpsclientterminated", "mps server", "mps_rpc_failure", "mpsrpcfailure",
    "illegal memory access", "unspecified launch failure", "device-side assert",
)  # fmt: skip
THREADS = (
    "OMP_NUM_THREADS", "GOTO_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS",
)  # fmt: skip
START = "== "  # begins the allocation's own lines in a log
TAIL_BYTES = 20_000


@dataclass
class Membership:
    """A place in a pack, whose allocation is `owner`."""

    owner: str
    cpus: int = 1
    limit_s: float | None = None  # how long it may take
    memory_mb: int = 0  # its share; 0 where none was asked for
    suspects: bool = False  # whether a fault in the GPU may be a sharer's
    peak_kb: int = 0  # memory of all processes of the command, as far as it was seen

    @classmethod
    def read(cls) -> Membership | None:
        """Return the membership that this process was started with, None outside packs."""
        text = os.environ.pop(VARIABLE, None)
        return None if text is None else cls(**json.loads(text))

    def variables(self) -> dict[str, str]:
        """Return what tells a process that it is this member."""
        return {VARIABLE: json.dumps(asdict(self))}

    def with_threads(self, environment: dict[str, str]) -> dict[str, str]:
        """Return the environment with no more threads than the member has CPUs."""
        lower = {
            name: str(min(int(environment[name]), self.cpus))
            for name in THREADS
            if environment.get(name, "").isdigit()
        }
        return environment | lower

    def small_enough(self, root: int) -> bool:
        """Return whether the command, whose first process is `root`, keeps within its share of memory."""
        used = memory_kb(root, exactly_above=self.memory_mb * 1024)
        self.peak_kb = max(self.peak_kb, used)
        return not self.memory_mb or used <= self.memory_mb * 1024

    def reached_its_share(self, largest_kb: int) -> bool:
        """Return whether the command, with a largest process of this size, took as much memory as it may."""
        return bool(self.memory_mb) and max(self.peak_kb, largest_kb) >= NEARLY * 1024 * self.memory_mb

    def shared_gpu_failed(self, log: Path, label: str) -> bool:
        """Return whether the newest start's log tells of a fault that all sharers of a GPU see, whoever caused it."""
        if not self.suspects:
            return False
        try:
            with log.open("rb") as file:
                file.seek(max(0, log.stat().st_size - TAIL_BYTES))
                text = file.read().decode(errors="replace")
        except OSError:
            return False
        newest = text.rpartition(f"{START}{label}: job ")[2].lower()
        return any(words in newest for words in SHARED_FAULTS)


def memory_kb(root: int, exactly_above: int = 0) -> int:
    """Return the memory of a process and its descendants.

    Summed up, their resident sets count shared pages again and again. So above `exactly_above` each page is
    counted once (proportional sets), which the kernel takes longer to tell.
    """
    family = processes.family(root)
    total = sum(resident_kb(pid) for pid in family)
    return total if total <= exactly_above else sum(proportional_kb(pid) for pid in family)


def resident_kb(pid: int) -> int:
    """Return a process's resident set, 0 if it is gone."""
    try:
        return int((processes.PROC / str(pid) / "statm").read_text().split()[1]) * PAGE_KB
    except (OSError, IndexError):
        return 0


def proportional_kb(pid: int) -> int:
    """Return a process's part of the memory, a page of n processes as one nth; the resident set where it is hidden."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in (processes.PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return resident_kb(pid)


PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024
