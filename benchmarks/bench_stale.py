"""What a dry run costs where every result is stale, as after a change of code, against one where nothing was trained.

``python benchmarks/bench_stale.py --runs 10000`` measures ``snakemake -n`` in two copies of the project, interleaved.
In the one no run has a result; in the other each has three, of other settings or of older code whose snapshots are
there. Goal: at most 1.2 times the other. Seconds are those of the processor, which other programs disturb less.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench_workflow import prepare_ours, snakemake
from interleave import compare

# Keeps a snapshot of the code as it stands, and leaves a result of it for every run in a folder of a given name.
LEAVE = """
import json, sys
from favit.results import guard
from favit.results.state import Results
from favit.sweeps.config import load
from favit.sweeps.runs import runs
from favit.identity import snapshot
name, epochs = sys.argv[1], int(sys.argv[2])
config = load()
results = Results(config)
f = results.fingerprinter
for state in results.states(runs(config)):
    program = f.program(state.run)
    snapshot.keep(program, f.code(state.run), config.results, f.reader)
    run = {**state.run.settings, "epochs": state.run["epochs"] + epochs}
    from favit.identity.digests import short_digest
    fingerprint = {**state.fingerprint.as_dict(), "settings": short_digest(run),
                   "modules": f.code(state.run).definitions()}
    folder = results.place(state.run) / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps({
        "status": "finished", "run": run, "fingerprint": fingerprint, "snapshot": program.digest,
        "metrics": {"mse": 1.0, "mae": 1.0}, "wall_time_s": 60.0, "finished": "2026-01-01"}))
"""


def main() -> None:
    """Print the ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        stale, untrained = Path(temporary) / "stale", Path(temporary) / "untrained"
        for folder in (stale, untrained):
            prepare_ours(folder, options.runs)
        leave(stale, "first", 0)
        loop = stale / "favit" / "train" / "loop.py"
        edit(loop, "self.step = batch.step + 1", "self.step = 1 + batch.step")
        leave(stale, "second", 0)
        leave(stale, "third", 1)
        edit(loop, "self.epoch + 1, 0, 0.0", "1 + self.epoch, 0, 0.0")
        shutil.copy(loop, untrained / "favit" / "train" / "loop.py")
        sides = [partial(snakemake, folder, True) for folder in (stale, untrained)]
        for side in sides:
            side()  # caches are filled by the first look, not measured
        print(
            compare(*sides, options.repeats, 0, processor_seconds).line(
                f"{options.runs} runs, 3 stale results each, snakemake -n"
            )
        )


def processor_seconds(call: Callable[[], object]) -> float:
    """What the processes that a call starts take."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    call()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def edit(file: Path, old: str, new: str) -> None:
    """Change code that every run executes."""
    text = file.read_text()
    assert old in text, old
    file.write_text(text.replace(old, new))


def leave(folder: Path, name: str, epochs: int) -> None:
    """A result of today's code for each run, trained for so many epochs more."""
    command = [sys.executable, "-c", LEAVE, name, str(epochs)]
    subprocess.run(command, cwd=folder, check=True)


if __name__ == "__main__":
    main()
