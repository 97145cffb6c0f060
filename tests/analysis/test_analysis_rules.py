"""The analyses as targets: trained with weights kept, made once, made anew with their code."""

from __future__ import annotations

from typing import Any

import pytest

CONFIG: dict[str, Any] = {
    "device": "cpu",
    "keep": "weights",
    "resources": {"cpus": 1, "gpus": 0, "mem_mb": 1000, "runtime": 10},
    "recipes": {
        "series": {
            "epochs": 1,
            "batch_size": 256,
            "schedule": "halving",
            "optimizer": "adam",
            "input_length": 8,
            "label_length": 4,
            "horizon": 2,
            "model.d_model": 8,
            "model.n_heads": 2,
            "model.d_ff": 8,
        },
    },
    "sweeps": {
        "terms": {
            "recipe": "series",
            "matrix": {
                "dataset": ["seattle_weather"],
                "model": ["informer"],
                "aggregator": ["cross_terms"],
                "aggregator.terms": ["all", "pos_pos"],
                "encoding": ["sinusoidal"],
                "seed": [0, 1],
            },
            "table": {"caption": "Terms", "label": "tab:terms"},
        },
    },
}
TARGETS = ("term_variance", "position_similarity")


@pytest.mark.slow
def test_analyses_are_targets(project) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("vega_datasets")
    project.configure(CONFIG)
    project.snakemake(*TARGETS)
    assert len(project.results()) == 2, "only the runs with all four terms are trained"
    names = ("cross-terms-variance", "encodings-bilinear", "encodings-correlation", "encodings-claim")
    expected = {f"{name}.{kind}" for name in names for kind in ("csv", "pdf", "png")}
    made = {path.name for path in (project.root / "results" / "analysis").iterdir()}
    assert made == expected | {f"{analysis}.json" for analysis in TARGETS}
    assert "Nothing to be done" in project.snakemake(*TARGETS).stdout + project.snakemake(*TARGETS).stderr

    project.edit("favit/analysis/position_similarity.py", "CLAIM = 0.999", "CLAIM = 0.99")
    planned = project.snakemake("-n", *TARGETS).stdout
    assert "Similarity of positions" in planned and "Variance of" not in planned and "Train " not in planned
