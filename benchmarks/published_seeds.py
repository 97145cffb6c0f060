"""Train Informer and its authors' program on ETTh1 from several seeds each, and compare what both score.

``python benchmarks/published_seeds.py ../Informer2020 --data data`` takes a checkout of zhouhaoyi/Informer2020 and the
folder of data sets, in which ETTh1 is. The two take turns, each in a process of one thread; the authors' program runs
as it is published, started from Python with its seeds set, which it does not do itself. It scores 2,848 of the 2,857
windows of the test part, for its loader drops the last incomplete batch; ours scores all. Results that are there
already are kept, so that a measurement that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

INPUT, LABEL, HORIZON, WIDTH, HIDDEN, EPOCHS = 64, 48, 24, 128, 256, 6
RUN = {
    "dataset": "etth1", "model": "informer", "aggregator": "probsparse", "encoding": "sinusoidal",
    "optimizer": "adam", "lr": 1e-4, "weight_decay": 0.0, "schedule": "halving", "epochs": EPOCHS, "patience": 3,
    "batch_size": 32, "precision": "float32", "input_length": INPUT, "label_length": LABEL, "horizon": HORIZON,
    "model.d_model": WIDTH, "model.d_ff": HIDDEN,
}  # fmt: skip
# NumPy 2 has no ``Inf``, which the program's early stopping uses.
START = """
import random, runpy, sys
import numpy, torch
numpy.Inf = numpy.inf
seed = int(sys.argv.pop(1))
random.seed(seed), numpy.random.seed(seed), torch.manual_seed(seed)
torch.set_num_threads(1)
runpy.run_path("main_informer.py", run_name="__main__")
"""


def ours(seed: int, data: Path, scratch: Path) -> dict[str, float]:
    """Train ours from a seed: MSE and MAE of the test part, in scaled units."""
    out = scratch / f"ours-{seed}"
    request = scratch / f"ours-{seed}.json"
    request.write_text(json.dumps({**RUN, "seed": seed}))
    command = [
        sys.executable,
        "-m",
        "favit.train",
        "--run",
        str(request),
        "--out",
        str(out),
        "--device",
        "cpu",
    ]
    subprocess.run([*command, "--data", str(data)], check=True, env=_one_thread(), stdout=subprocess.DEVNULL)
    scores = json.loads((out / "metrics.json").read_text())["metrics"]
    return {name: scores[name] for name in ("mse", "mae")}


def theirs(seed: int, data: Path, scratch: Path, program: Path) -> dict[str, float]:
    """Train theirs from a seed: MSE and MAE as it prints them at its end."""
    arguments = {
        "model": "informer", "data": "ETTh1", "root_path": f"{data.resolve()}/ett/", "features": "M", "freq": "h",
        "seq_len": INPUT, "label_len": LABEL, "pred_len": HORIZON, "d_model": WIDTH, "d_ff": HIDDEN, "itr": 1,
        "train_epochs": EPOCHS, "checkpoints": f"{scratch.resolve()}/theirs-{seed}/",
    }  # fmt: skip
    words = [word for name, value in arguments.items() for word in (f"--{name}", str(value))]
    done = subprocess.run(
        [sys.executable, "-c", START, str(seed), *words],
        check=True, cwd=program, env=_one_thread(), capture_output=True, text=True,
    )  # fmt: skip
    mse, mae = re.findall(r"mse:([0-9.]+), mae:([0-9.]+)", done.stdout)[-1]
    return {"mse": float(mse), "mae": float(mae)}


def _one_thread() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def main() -> None:
    """Train both in turn and print each seed's scores, then mean and standard deviation."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("program", type=Path, help="a checkout of zhouhaoyi/Informer2020")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--seeds", type=int, default=7)
    parser.add_argument(
        "--scratch", type=Path, default=Path("published-seeds"), help="where runs and scores are kept"
    )
    options = parser.parse_args()
    options.scratch.mkdir(parents=True, exist_ok=True)
    kept = options.scratch / "scores.json"
    scores: dict[str, dict[str, float]] = json.loads(kept.read_text()) if kept.exists() else {}
    for seed in range(options.seeds):
        for side in ("ours", "theirs"):
            name = f"{side} {seed}"
            if name not in scores:
                if side == "ours":
                    scores[name] = ours(seed, options.data, options.scratch)
                else:
                    scores[name] = theirs(seed, options.data, options.scratch, options.program)
                kept.write_text(json.dumps(scores, indent=1))
            print(f"{name}: MSE {scores[name]['mse']:.4f}, MAE {scores[name]['mae']:.4f}", flush=True)
    for side in ("ours", "theirs"):
        for metric in ("mse", "mae"):
            values = [scores[f"{side} {seed}"][metric] for seed in range(options.seeds)]
            spread = statistics.stdev(values) if len(values) > 1 else float("nan")
            print(
                f"{side}: {metric.upper()} {statistics.mean(values):.3f} +- {spread:.3f} over {len(values)} seeds"
            )


if __name__ == "__main__":
    main()
