"""List the jobs of a folder from any shell: `python -m snakemake_executor_plugin_submitit status`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from .allocation.claim import TOMBSTONE
from .clusters import make_cluster
from .clusters.base import NoAnswer, State
from .failure import tail
from .journal import Batch, Journal
from .settings import ExecutorSettings
from .submit import MainJobs

ORDER = ("running", "queued", "failed", "ended", "finished", "replaced")
LONGEST_LINE = 60


@dataclass(frozen=True)
class Line:
    """One job: what people call it, how it fares, where, and the last thing that it said."""

    label: str
    fate: str
    job_id: str
    node: str
    elapsed: str
    last: str

    @property
    def cells(self) -> tuple[str, ...]:
        return (self.fate, self.label, self.job_id, self.node, self.elapsed, self.last)


def collect(batches: Iterable[Batch], states: Mapping[tuple[str, int], State], show_all: bool) -> list[Line]:
    """Return a line for each job; where several have a name, the newest. Finished ones come if wanted."""
    lines: dict[str, Line] = {}
    for batch in sorted(batches, key=lambda b: b.created):
        verdicts = batch.verdicts()
        for index, task in enumerate(batch.tasks):
            line = describe(batch, index, states.get((batch.token, index)), index in verdicts)
            if line.fate == "replaced" and task.label in lines:
                continue
            lines[task.label] = line
    wanted = [line for line in lines.values() if show_all or line.fate not in ("finished", "replaced")]
    return sorted(wanted, key=lambda line: (ORDER.index(line.fate), line.label))


def describe(batch: Batch, index: int, state: State | None, has_verdict: bool) -> Line:
    """Return one job's line, from its verdict or else from what the cluster says."""
    task = batch.tasks[index]
    last = next(iter(tail([Path(batch.folder) / task.log], lines=1)), "")[:LONGEST_LINE]
    verdict = batch.verdict(index) if has_verdict else None
    if verdict is not None:
        elapsed = str(timedelta(seconds=max(0, round(verdict.ended - verdict.started))))
        fate = "finished" if verdict.succeeded else "failed"
        return Line(task.label, fate, verdict.job_id, verdict.node, elapsed, last)
    if batch.claimed_by(index) == TOMBSTONE:
        return Line(task.label, "replaced", "", "", "", "")
    if state is None:
        return Line(task.label, "ended" if batch.arrays() else "queued", "", "", "", last)
    running = state.name in ("RUNNING", "COMPLETING")
    fate = "running" if running else "queued" if state.live else "ended"
    said = last if running else " ".join(filter(None, (state.name, state.reason)))
    return Line(task.label, fate, state.job_id, state.node, state.elapsed, said)


def main_line(folder: Path) -> str:
    """Return the line about Snakemake where it was submitted itself, empty where it was not."""
    try:
        return MainJobs(folder).line()
    except NoAnswer as trouble:
        return f"Snakemake itself: SLURM does not answer: {trouble}"


def table(lines: Iterable[Line]) -> str:
    """Lay lines out under a heading, in columns as wide as their widest cell."""
    rows = [("STATE", "JOB", "ID", "NODE", "ELAPSED", "LAST LINE"), *(line.cells for line in lines)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def follow(folder: Path, show_all: bool = False, pause_s: float = 10.0) -> None:
    """Print the overview whenever it has changed, until no job and no Snakemake that was submitted is left."""
    told = ""
    while True:
        shown = overview(folder, show_all)
        counted = shown.rpartition("\n")[2]
        body = shown.removesuffix(counted) + counted.partition(": ")[2]
        if body != told:
            print(shown, flush=True)
            told = body
        if " running" not in counted and " queued" not in counted and MainJobs(folder).live() is None:
            return
        time.sleep(max(pause_s, ExecutorSettings().poll_floor()))


def overview(folder: Path, show_all: bool = False) -> str:
    """Return what `status` prints about the plugin's folder (`.snakemake/submitit`)."""
    if not folder.exists():
        return f"No jobs have been submitted from here ({folder} does not exist)."
    batches = list(Journal(folder).batches())
    states: dict[tuple[str, int], State] = {}
    notes = []
    if line := main_line(folder):
        notes.append(line)
    for name in sorted({b.cluster for b in batches} - {"debug"}):
        unfinished = [b for b in batches if b.cluster == name and len(b.closed()) < len(b.tasks)]
        try:
            if unfinished:
                states |= make_cluster(ExecutorSettings(cluster=name)).states(unfinished)
        except NoAnswer as trouble:
            notes.append(f"{name} does not answer: {trouble}")
    everything = collect(batches, states, show_all=True)
    shown = everything if show_all else collect(batches, states, show_all=False)
    counts = Counter(line.fate for line in everything)
    summary = ", ".join(f"{counts[fate]} {fate}" for fate in ORDER if counts[fate] and fate != "replaced")
    when = time.strftime("%H:%M:%S")
    return "\n".join([*notes, *([table(shown)] if shown else []), f"{when}: {summary or 'no jobs'}"])
