"""What a table of many runs costs: 10,000 runs with stored predictions, read from disk to three files.

Beside it the same table without predictions, which shows what reading and comparing examples takes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from favit.analysis.tables import Row, RunResult, TableSpec, make, write

SEEDS = 4
EXAMPLES = 10_000


def main() -> None:
    """Print seconds for the whole, by part."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--quick", action="store_true", help="1,000 runs")
    options = parser.parse_args()
    count = 1000 if options.quick else options.runs
    with tempfile.TemporaryDirectory() as folder:
        spec, places = _made_up(Path(folder), count)
        start = time.perf_counter()
        results = [_read(*place) for place in places]
        read = time.perf_counter()
        table = make(spec, results)
        made = time.perf_counter()
        write(table, Path(folder), "table")
        written = time.perf_counter()
        bare = [
            RunResult(r.row_id, r.group, r.seed, r.state, r.metrics, None, "", r.randomness) for r in results
        ]
        make(spec, bare)
        end = time.perf_counter()
    print(
        f"table of {len(places)} runs x {EXAMPLES} examples: {written - start:.2f} s in all "
        f"(metrics.json {read - start:.2f}, predictions and statistics {made - read:.2f}, "
        f"writing {written - made:.2f}; statistics without predictions {end - written:.2f})"
    )


def _made_up(folder: Path, runs: int) -> tuple[TableSpec, list[tuple[str, dict[str, str], int, Path]]]:
    """Five mechanisms on as many models as it takes, each run's folder as training leaves it."""
    rows = tuple(Row(f"mechanism{i}", f"Mechanism {i}") for i in range(5))
    spec = TableSpec("bench", "Bench", "tab:bench", "classification", rows, "mechanism0")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 100, EXAMPLES).astype(np.uint16)
    places = []
    for number in range(runs):
        group, row, seed = number // (5 * SEEDS), number // SEEDS % 5, number % SEEDS
        right = rng.random(EXAMPLES) < 0.7 + 0.01 * row
        place = folder / str(number)
        place.mkdir()
        predicted = np.where(right, labels, (labels + 1) % 100).astype(np.uint16)
        np.savez_compressed(place / "predictions.npz", labels=labels, predicted=predicted, correct5=right)
        metrics = {"top1": 100 * right.mean(), "top5": 100 * right.mean()}
        content = {"status": "finished", "metrics": metrics, "run": {"seed": seed}, "best": {}}
        (place / "metrics.json").write_text(json.dumps(content))
        places.append((rows[row].id, {"dataset": "cifar100", "model": f"model{group}"}, seed, place))
    return spec, places


def _read(row: str, group: dict[str, str], seed: int, place: Path) -> RunResult:
    metrics = json.loads((place / "metrics.json").read_text())
    return RunResult(row, group, seed, "valid", metrics, place / "predictions.npz", "", seed)


if __name__ == "__main__":
    main()
