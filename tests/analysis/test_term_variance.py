"""The variance of attention's terms against numpy's, on a small model and its command."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from favit.analysis import term_variance as tv
from favit.attention.cross_terms import Attention as CrossTerms
from favit.models.informer import build

RUN = {
    "dataset": "seattle_weather",
    "model": "informer",
    "aggregator": "cross_terms",
    "encoding": "sinusoidal",
    "input_length": 12,
    "label_length": 6,
    "horizon": 3,
    "model.d_model": 8,
    "model.n_heads": 2,
    "model.d_ff": 8,
}
SCALE = 1 / np.sqrt(4)


class OneAttention(nn.Module):
    """A model of one attention, called with heads instead of sequences."""

    def __init__(self, causal: bool) -> None:
        super().__init__()
        self.mechanism = CrossTerms(causal=causal)

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.mechanism(*inputs)


def heads(seed: int) -> tuple[Tensor, ...]:
    g = torch.Generator().manual_seed(seed)
    x = [torch.randn(2, 3, 5, 4, generator=g, dtype=torch.float64) for _ in range(3)]
    p = [
        torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
        for _ in range(2)
    ]
    return (*x, p[0], 2 * p[1] + 1)


@pytest.mark.parametrize("causal", [False, True])
def test_moments_over_two_batches_are_numpys(causal: bool) -> None:
    model = OneAttention(causal)
    found = tv.measure(model, iter([heads(0), heads(1)]))["mechanism"]
    samples: dict[str, list[list[float]]] = {"all": [[], [], [], []], "within query": [[], [], [], []]}
    for q, k, _, q_pos, k_pos in (heads(0), heads(1)):
        for b in range(2):
            for h in range(3):
                queries, keys = (q[b, h].numpy(), q_pos[h].numpy()), (k[b, h].numpy(), k_pos[h].numpy())
                for t, (of_q, of_k) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
                    for i in range(5):
                        row = [
                            SCALE * queries[of_q][i] @ keys[of_k][j] for j in range(i + 1 if causal else 5)
                        ]
                        samples["all"][t] += row
                        samples["within query"][t] += list(np.array(row) - np.mean(row))
    for pairs in tv.PAIRS:
        np.testing.assert_allclose(
            found[pairs].numpy(), np.cov(np.array(samples[pairs]), bias=True), atol=1e-12
        )


def test_shares_add_up() -> None:
    rows = tv.rows_of(tv.measure(OneAttention(True), iter([heads(0)])), "a run")
    for pairs in tv.PAIRS:
        here = [row for row in rows if row["pairs"] == pairs]
        assert len(here) == 4 + 6
        assert sum(r["share_of_variances"] for r in here if r["moment"] == "variance") == pytest.approx(1)
        assert sum(r["share_of_score"] for r in here) == pytest.approx(1)


def test_measuring_leaves_no_hook_behind() -> None:
    model = OneAttention(False)
    tv.measure(model, iter([heads(0)]))
    assert not model.mechanism._forward_pre_hooks


def finished_run(folder: Path, **changes: Any) -> Path:
    """What a training that keeps its weights leaves, without the training."""
    run = {**RUN, **changes}
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps({"run": run}))
    torch.manual_seed(0)
    torch.save(build(run, {"variables": 4, "time_features": 3}).state_dict(), folder / "weights.pt")
    return folder


@pytest.mark.slow
def test_command_on_a_run(tmp_path: Path) -> None:
    pytest.importorskip("vega_datasets")
    runs = [str(finished_run(tmp_path / name)) for name in ("one", "two")]
    assert tv.main([*runs, "--out", str(tmp_path / "out")]) == 0
    assert {p.suffix for p in (tmp_path / "out").iterdir()} == {".pdf", ".png", ".csv"}
    with (tmp_path / "out" / f"{tv.NAME}.csv").open() as file:
        found = {(row["run"], row["layer"]) for row in csv.DictReader(file)}
    layers = [f"{where}.attention.mechanism" for where in ("encoder.0", "encoder.1", "decoder.0")]
    assert found == {(run, layer) for run in runs for layer in layers}


def test_runs_that_will_not_do_are_answered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tv.main([str(tmp_path)]) == 1
    assert "--keep weights" in capsys.readouterr().err
    for n, changes in enumerate(({"aggregator": "full"}, {"aggregator.terms": "pos_pos"})):
        run = finished_run(tmp_path / str(n), **changes)
        assert tv.main([str(run)]) == 1
        assert "cross_terms with terms: all" in capsys.readouterr().err
