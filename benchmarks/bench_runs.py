"""Time short runs in one process (``--runs``) against a process each, in turn.

Informer at the size of the sweep demo-weather, prepared as the workflow prepares it, on two cores: two lists side by
side, each with half of the runs, against processes of one run, two at a time. The clock and the processors' time are
told, the latter because other programs on the machine disturb it less.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.interleave import compare  # noqa: E402
from favit.identity.digests import short_digest  # noqa: E402
from favit.sweeps.config import load  # noqa: E402
from favit.sweeps.runs import cells  # noqa: E402
from favit.train.__main__ import complete  # noqa: E402

AT_ONCE = 2  # cores


def prepared(runs: int, folder: Path) -> list[Path]:
    """So many requests that differ in their seed."""
    (sweep,) = load(str(ROOT / "config.yaml")).sweeps_of("demo-weather")
    envelope = complete(dict(cells(sweep)[0].run.settings), folder)
    files = []
    for seed in range(runs):
        run = {**envelope["run"], "seed": seed}
        own = {"settings": short_digest(run), "digest": short_digest(run)}
        files.append(folder / f"{seed}.json")
        files[-1].write_text(json.dumps({"run": run, "fingerprint": {**envelope["fingerprint"], **own}}))
    return files


def train(*arguments: Any) -> None:
    """A process that trains, on one thread, to its end."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [
        sys.executable,
        "-m",
        "favit.train.life",
        *map(str, arguments),
        "--device",
        "cpu",
        "--threads",
        "1",
    ]
    subprocess.run(command, env=environment, check=True, capture_output=True)


def in_one_process(files: list[Path], fresh: Iterator[Path]) -> None:
    """Two lists side by side."""
    folder = next(fresh)
    lists = []
    for part in range(AT_ONCE):
        some = files[part::AT_ONCE]
        lines = [json.dumps({"run": str(file), "out": str(folder / file.stem)}) for file in some]
        lists.append(folder / f"list{part}")
        lists[-1].write_text("\n".join(lines) + "\n")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda file: train("--runs", file), lists))


def a_process_each(files: list[Path], fresh: Iterator[Path]) -> None:
    """Two processes at a time."""
    folder = next(fresh)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda file: train("--run", file, "--out", folder / file.stem), files))


def processor_seconds(call: Callable[[], Any]) -> float:
    """Of the children that a call starts and waits for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    call()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print both comparisons."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=45)
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        files = prepared(options.runs, Path(name))
        fresh = (Path(tempfile.mkdtemp(dir=name)) for _ in iter(int, 1))
        walls: list[float] = []

        def measured(call: Callable[[], Any]) -> float:
            began = time.monotonic()
            seconds = processor_seconds(call)
            walls.append(time.monotonic() - began)
            return seconds

        found = compare(
            lambda: in_one_process(files, fresh),
            lambda: a_process_each(files, fresh),
            options.repeats,
            warmup=0,
            seconds_of=measured,
        )
        print(found.line(f"{options.runs} Informer runs, --runs / a process each, processor"))
        ratios = sorted(a / b for a, b in zip(walls[::2], walls[1::2], strict=True))
        print(f"  by the clock: ratio {ratios[len(ratios) // 2]:.3f} (load {os.getloadavg()[0]:.1f})")


if __name__ == "__main__":
    main()
