"""Made-up results: runs with scores and predictions as training leaves them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from favit.analysis.results import RunResult
from favit.analysis.tables import Row, TableSpec

AGGREGATORS = ("pointwise_conv", "linear", "avg_pool", "max_pool", "probsparse")


@pytest.fixture
def images() -> TableSpec:
    """The five aggregators on CIFAR-100, names with everything that LaTeX stumbles over."""
    rows = tuple(Row(name, f"{name} & 100 % {{#{i}}} ~^$\\", name) for i, name in enumerate(AGGREGATORS))
    return TableSpec(
        "images", "CIFAR-100: 5_aggregators & more", "tab:images", "classification", rows, "max_pool"
    )


@pytest.fixture
def series() -> TableSpec:
    """Three kinds of attention on ETTh1, two horizons."""
    rows = (
        Row("vanilla", "ProbSparse", "vanilla"),
        Row("pope", "PoPE", "pope"),
        Row("delta_v", "value + ΔV"),
    )
    groups = ("dataset", "model", "horizon")
    return TableSpec("series", "ETTh1 at two horizons", "tab:series", "forecasting", rows, "vanilla", groups)


class Factory:
    """Writes predictions and makes the `RunResult` that belongs to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.labels = np.random.default_rng(0).integers(0, 100, 400).astype(np.uint16)

    def image(
        self, row: str, seed: int, top1: float, *, model: str = "favit_b0", state="valid", **more
    ) -> RunResult:
        """A classification run that is right on some ``top1`` percent, mostly the same examples in every seed."""
        ease = np.random.default_rng(sum(map(ord, row))).random(400)
        rng = np.random.default_rng([seed, sum(map(ord, row + model))])
        right = 0.7 * ease + 0.3 * rng.random(400) < top1 / 100
        path = self._path(row, model, seed)
        np.savez(
            path,
            labels=self.labels,
            predicted=np.where(right, self.labels, self.labels + 1),
            correct5=right | True,
        )
        metrics = {
            "status": "finished",
            "run": {"dataset": "cifar100", "model": model, "seed": seed},
            "metrics": {"top1": 100 * float(right.mean()), "top5": 100.0, "loss": 1.0},
            "best": {
                "epoch": 3,
                "selected_on": "test",
                "top1": 100 * float(right.mean()) + 0.5,
                "top5": 100.0,
            },
        }
        group = {"dataset": "cifar100", "model": model}
        return RunResult(row, group, seed, state, metrics, path, **{"randomness": ("cifar100", seed), **more})

    def series(
        self, row: str, seed: int, mse: float, *, horizon: int = 24, state="valid", **more
    ) -> RunResult:
        """A forecasting run whose windows have ``mse`` on average."""
        rng = np.random.default_rng([seed, horizon, sum(map(ord, row))])
        squared = (mse * rng.gamma(4, 0.25, 500)).astype(np.float32)
        path = self._path(row, str(horizon), seed)
        np.savez(path, squared_error=squared, absolute_error=np.sqrt(squared))
        metrics = {
            "status": "finished",
            "run": {"dataset": "etth1", "model": "informer", "seed": seed, "horizon": horizon},
            "metrics": {"mse": float(squared.mean()), "mae": float(np.sqrt(squared).mean())},
            "baseline": {"repeat_last_mse": 1.25, "repeat_last_mae": 0.75},
        }
        group = {"dataset": "etth1", "model": "informer", "horizon": horizon}
        return RunResult(
            row, group, seed, state, metrics, path, **{"randomness": ("etth1", horizon, seed), **more}
        )

    def _path(self, *parts: object) -> Path:
        path = self.folder.joinpath(*map(str, parts)) / "predictions.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


@pytest.fixture
def runs(tmp_path: Path) -> Factory:
    """Makes runs below a temporary folder."""
    return Factory(tmp_path / "runs")


@pytest.fixture
def mixed(runs: Factory) -> list[RunResult]:
    """A sweep of images with one of everything: accepted, stale, diverged, missing, running."""
    results = []
    for model in ("favit_b0", "favit_b2"):
        for place, name in enumerate(AGGREGATORS):
            results += [runs.image(name, seed, 60 + 4 * place, model=model) for seed in range(3)]
    diverged = {
        "status": "diverged",
        "diverged_at_step": 7,
        "metrics": {"top1": float("nan"), "top5": float("nan")},
    }
    group = {"dataset": "cifar100", "model": "favit_b0"}
    results[0] = runs.image("pointwise_conv", 0, 60, state="accepted", note="reworded docstring")
    results[4] = runs.image("linear", 1, 99, state="stale", note="code of favit.models.favit changed")
    results[7] = RunResult("avg_pool", group, 1, "valid", diverged)
    results[8] = RunResult("avg_pool", group, 2, "running")
    results[-1] = RunResult("probsparse", {"dataset": "cifar100", "model": "favit_b2"}, 2, "missing")
    return results
