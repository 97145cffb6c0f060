"""The contribution of each term of attention: ``python -m favit.analysis.term_variance RUN [RUN ...] --data DATA``.

Each RUN is the folder of a finished run with the aggregator ``cross_terms``,
all four terms, and its weights kept. Over the test windows, heads and visible
pairs of steps, for each self-attention layer: the variance of each term of the
scaled scores, its share of the sum of the four variances, and the covariances
of each two, which together make up the variance of the score:
``var(sum) = sum of variances + 2 * sum of covariances``.

``pairs`` is over which pairs of steps the moments are taken: ``all``, or
``within query``, each query's mean over its keys removed first, because the
softmax does not see it. The figure shows the mean over the runs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from favit.analysis import _figures
from favit.attention.cross_terms import TERMS
from favit.attention.cross_terms import Attention as CrossTerms
from favit.components import registry
from favit.components.facts import facts
from favit.disk.run_folder import RunFolder
from favit.results import made
from favit.train import weights

PAIRS = ("all", "within query")
NAME = "cross-terms-variance"
_BATCH = 64

Rows = list[dict[str, Any]]


@dataclass
class Moments:
    """Running sums of the four terms over pairs of steps: enough for means and covariances."""

    count: int = 0
    total: Tensor = field(default_factory=lambda: torch.zeros(len(TERMS), dtype=torch.float64))
    products: Tensor = field(default_factory=lambda: torch.zeros(len(TERMS), len(TERMS), dtype=torch.float64))

    def add(self, terms_tn: Tensor) -> None:
        """Take in N values of each term: (4, N)."""
        terms_tn = terms_tn.double()
        self.count += terms_tn.shape[1]
        self.total += terms_tn.sum(1)
        self.products += terms_tn @ terms_tn.T

    def covariance(self) -> Tensor:
        """Population covariance of the terms: (4, 4)."""
        mean = self.total / self.count
        return self.products / self.count - torch.outer(mean, mean)


def measure(model: nn.Module, batches: Iterator[tuple[Tensor, ...]]) -> dict[str, dict[str, Tensor]]:
    """Covariances of the terms by layer and by ``PAIRS``, over all forward passes of ``batches``."""
    layers = {name: module for name, module in model.named_modules() if isinstance(module, CrossTerms)}
    moments = {name: {pairs: Moments() for pairs in PAIRS} for name in layers}
    hooks = [
        module.register_forward_pre_hook(lambda m, inputs, name=name: _record(m, inputs, moments[name]))
        for name, module in layers.items()
    ]
    model.eval()
    try:
        with torch.no_grad():
            for batch in batches:
                model(*batch)
    finally:
        for hook in hooks:
            hook.remove()
    return {
        name: {pairs: m.covariance() for pairs, m in of_layer.items()} for name, of_layer in moments.items()
    }


def _record(module: CrossTerms, inputs: tuple[Tensor, ...], moments: dict[str, Moments]) -> None:
    q, k, _, q_pos, k_pos = inputs
    scores = module.scores(q, k, q_pos, k_pos)
    terms_tbhls = torch.stack([scores[term] for term in TERMS])
    length = terms_tbhls.shape[-1]
    visible = torch.ones(length, length, dtype=torch.bool).tril(0 if module.causal else length)
    centred = terms_tbhls - _mean_over(terms_tbhls, visible)
    moments["all"].add(terms_tbhls[..., visible].flatten(1))
    moments["within query"].add(centred[..., visible].flatten(1))


def _mean_over(terms_tbhls: Tensor, visible_ls: Tensor) -> Tensor:
    """Each query's mean over the keys that it sees: (4, B, H, L, 1)."""
    return (terms_tbhls * visible_ls).sum(-1, keepdim=True) / visible_ls.sum(-1, keepdim=True)


def rows_of(covariances: dict[str, dict[str, Tensor]], run: str) -> Rows:
    """One row a layer, kind of pairs and (co)variance; shares of the four variances and of the score's variance."""
    rows = []
    for layer, by_pairs in covariances.items():
        for pairs, c in by_pairs.items():
            variances, score = float(c.diagonal().sum()), float(c.sum())
            entries = [(i, i) for i in range(len(TERMS))] + list(combinations(range(len(TERMS)), 2))
            for i, j in entries:
                value = float(c[i, j])
                rows.append(
                    {
                        "run": run,
                        "layer": layer,
                        "pairs": pairs,
                        "moment": "variance" if i == j else "covariance",
                        "term": TERMS[i] if i == j else f"{TERMS[i]} with {TERMS[j]}",
                        "value": value,
                        "share_of_variances": value / variances if i == j else "",
                        "share_of_score": (value if i == j else 2 * value) / score,
                    }
                )
    return rows


def figure_of(rows: Rows) -> Figure:
    """Shares of the four variances by layer, stacked to one; the covariances' part of the score's variance beside."""
    figure = Figure(figsize=(11, 3.8), layout="constrained")
    panels = figure.subplots(2, len(PAIRS), sharex=True, squeeze=False)
    layers = list(dict.fromkeys(row["layer"] for row in rows))
    for column, pairs in enumerate(PAIRS):
        here = [row for row in rows if row["pairs"] == pairs]
        _stack(
            panels[0, column], layers, [r for r in here if r["moment"] == "variance"], "share_of_variances"
        )
        _stack(panels[1, column], layers, [r for r in here if r["moment"] == "covariance"], "share_of_score")
        panels[0, column].set_title(f"pairs: {pairs}", fontsize=9)
    panels[0, 0].set_ylabel("share of the\nsum of variances", fontsize=8)
    panels[1, 0].set_ylabel("twice covariance,\nof score's variance", fontsize=8)
    for row in (0, 1):
        panels[row, -1].legend(fontsize=6, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _stack(panel: Any, layers: list[str], rows: Rows, key: str) -> None:
    """Bars by layer, positive parts stacked upwards and negative ones downwards."""
    up, down = [0.0] * len(layers), [0.0] * len(layers)
    for term in dict.fromkeys(row["term"] for row in rows):
        shares = [
            fmean(row[key] for row in rows if (row["term"], row["layer"]) == (term, layer))
            for layer in layers
        ]
        bottoms = [u if share >= 0 else d for share, u, d in zip(shares, up, down, strict=True)]
        panel.bar(range(len(layers)), shares, bottom=bottoms, label=term, width=0.6)
        up = [u + max(s, 0.0) for u, s in zip(up, shares, strict=True)]
        down = [d + min(s, 0.0) for d, s in zip(down, shares, strict=True)]
    names = [layer.removesuffix(".attention.mechanism") for layer in layers]
    panel.set_xticks(range(len(layers)), names, fontsize=8)
    panel.axhline(0, color="black", linewidth=0.5)


def load(folder: Path, data: Path) -> tuple[nn.Module, Iterator[tuple[Tensor, ...]]]:
    """The trained model of a run and its test windows. ``ValueError`` if the run is not what is needed."""
    files = RunFolder(folder)
    for path in (files.metrics, files.weights):
        if not path.is_file():
            raise ValueError(
                f"{path} not found; the run must be trained with --keep weights "
                "(keep: weights in the configuration); delete it and train it again"
            )
    run = json.loads(files.metrics.read_text())["run"]
    if run["aggregator"] != "cross_terms" or run.get("aggregator.terms", "all") != "all":
        raise ValueError(f"{folder}: give a run of the aggregator cross_terms with terms: all")
    series = registry.load("data", run["dataset"]).load(data, run)
    model = registry.load("models", "informer").build(run, facts(run["dataset"], series))
    model.load_state_dict(weights.read(files.weights))
    return model, _test_batches(series, run)


def _test_batches(series: Any, run: dict[str, Any]) -> Iterator[tuple[Tensor, ...]]:
    """The model's inputs for the windows of the test part, ``_BATCH`` at a time."""
    values, marks = series.standardise(), series.marks
    length, label, horizon = run["input_length"], run["label_length"], run["horizon"]
    starts = torch.tensor(series.window_starts("test", length, horizon))
    for some in starts.split(_BATCH):
        past = some[:, None] + torch.arange(length)
        ahead = some[:, None] + torch.arange(length - label, length + horizon)
        x_dec = values[ahead]
        x_dec[:, label:] = 0
        yield values[past], marks[past], x_dec, marks[ahead]


def main(arguments: list[str] | None = None) -> int:
    """Write figure and CSV; 1 and one line on stderr where the run or the data will not do."""
    parser = argparse.ArgumentParser(
        prog="python -m favit.analysis.term_variance", description=__doc__.split("\n")[0]
    )
    parser.add_argument("runs", type=Path, nargs="+", help="folders with metrics.json and weights")
    parser.add_argument("--data", type=Path, default=Path("data"), help="data root (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=_figures.FOLDER, help="folder (default: %(default)s)")
    parser.add_argument(
        "--digest", default="", help="digest of the inputs, recorded beside the figures (set by the workflow)"
    )
    chosen = parser.parse_args(arguments)
    try:
        rows = [
            row for folder in chosen.runs for row in rows_of(measure(*load(folder, chosen.data)), str(folder))
        ]
    except (ValueError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 1
    written = _figures.write(chosen.out, NAME, figure_of(rows), rows)
    if chosen.digest:
        made.record(chosen.out / "term_variance.json", chosen.digest, written)
    print(*written, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
