"""What loggers cost a run: of each epoch, and once.

Of an epoch: the time for which training is held up by handing a row over, and the processors' time that the loggers'
processes take for it, which counts where the run leaves them no core. Both as shares of an epoch of the sweep
demo-weather's Informer, the shortest that the project trains, with the clock of the same minute. Once: the
processors' time of start and end, and how long the run waits at its end.
"""

from __future__ import annotations

import csv
import importlib.util
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.bench_runs import prepared, train  # noqa: E402
from benchmarks.interleave import machine_line  # noqa: E402
from favit.train.loggers.about import About  # noqa: E402
from favit.train.loggers.feed import Feeds  # noqa: E402

ROWS, PAUSE_S, ROUNDS = 200, 0.01, 3
OWN = "def logger(run):\n    return [].append\n"


def main() -> None:
    """A line for each logger."""
    print(machine_line(f"{ROWS} rows a life, {ROUNDS} rounds of all in turn"))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "own.py").write_text(OWN)
        names = [name for name in ("tensorboard", "wandb") if importlib.util.find_spec(name)]
        found: dict[str, list[dict[str, float]]] = {}
        for turn in range(ROUNDS):
            epoch = epoch_seconds(folder, turn)
            for name in [str(folder / "own.py"), *names]:
                found.setdefault(name, []).append(
                    life(name, folder / f"{turn}-{Path(name).stem}") | {"epoch": epoch}
                )
    for name, rounds in found.items():
        mean = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
        held, cpu = mean["held"] / mean["epoch"], mean["cpu"] / mean["epoch"]
        print(
            f"{Path(name).name:<12} a row holds training up {1e6 * mean['held']:4.0f} us, {held:.4%} of an epoch of "
            f"{mean['epoch']:.2f} s; its process takes {1e3 * mean['cpu']:.2f} ms, {cpu:.3%}; once: "
            f"{mean['once']:.2f} s of a processor, {mean['wait']:.2f} s of waiting at the end"
        )


def life(name: str, folder: Path) -> dict[str, float]:
    """One life's: seconds a row that training is held up, of a processor a row, of a processor once, at the end."""
    once, _, _ = rows(name, folder / "once", 1)
    cpu, held, wait = rows(name, folder / "all", ROWS)
    return {"held": held, "cpu": max(0.0, cpu - once) / (ROWS - 1), "once": once, "wait": wait}


def rows(name: str, folder: Path, number: int) -> tuple[float, float, float]:
    """Processor seconds of the logger, seconds an offer, seconds of waiting."""
    folder.mkdir(parents=True)
    about = About("digits.m.a.none.seed0", "0123456789ab", {"lr": 0.1}, folder)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    feeds = Feeds([{"name": name, "options": {}}], about, print)
    feeds.start()
    history: list[dict[str, Any]] = []
    held = []
    for epoch in range(1, number + 1):
        scores = {f"test_{k}": 1.0 / epoch for k in ("top1", "top5", "loss")}
        history.append(
            {
                "epoch": epoch,
                "train_loss": 1.0 / epoch,
                "lr": 1e-3,
                **scores,
                "seconds": 1.5,
                "memory_bytes": 10**9,
            }
        )
        begun = time.perf_counter()
        feeds.offer(history)
        held.append(time.perf_counter() - begun)
        time.sleep(PAUSE_S)
    feeds.end("finished", {"top1": 50.0}, history)
    begun = time.perf_counter()
    feeds.close()
    wait = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, statistics.mean(held), wait


def epoch_seconds(folder: Path, turn: int) -> float:
    """A median epoch of Informer at the size of demo-weather, on one thread."""
    place = folder / f"run{turn}"
    place.mkdir()
    [request] = prepared(1, place)
    train("--run", request, "--out", place / "out")
    with (place / "out" / "history.csv").open() as file:
        return statistics.median(float(row["seconds"]) for row in csv.DictReader(file))


if __name__ == "__main__":
    main()
