"""The controls train in the demonstration's shapes and stand in its table; the report says what models make of them."""

from __future__ import annotations

import csv

import pytest

CONTROLS = {"random", "top_norm", "zero"}


@pytest.mark.slow
def test_controls_stand_in_the_table_that_they_are_trained_for(project) -> None:  # type: ignore[no-untyped-def]
    """The shipped sweep, with fewer images and one epoch."""
    pytest.importorskip("sklearn")
    config = project.config()
    assert "keep: weights" in (project.root / "config.yaml").read_text()
    config["recipes"]["demo-images"] |= {"epochs": 1, "limit_train": 64, "limit_test": 20}
    config["device"] = "cpu"
    project.configure(config)
    project.snakemake("demo-controls")

    with (project.root / "results" / "tables" / "demo-controls.csv").open() as file:
        rows = list(csv.DictReader(file))
    text = (project.root / "results" / "tables" / "demo-controls.md").read_text()
    assert len(rows) >= 5 and len(project.results()) == 5
    assert all(
        label in text for label in ("Random samples", "Samples of largest key norm", "No fused tokens")
    )
    assert "Partial" not in text
    assert {path.relative_to(project.root / "results" / "runs").parts[2] for path in project.results()} == {
        *CONTROLS, "max_pool", "probsparse",
    }  # fmt: skip

    project.snakemake("aggregator_use", "kept_keys", "report")
    again = project.snakemake("aggregator_use", "kept_keys", "report")
    assert "Nothing to be done" in again.stdout + again.stderr
    with (project.root / "results" / "analysis" / "aggregator-use.csv").open() as file:
        measured = list(csv.DictReader(file))
    assert {row["trained_with"] for row in measured} == {*CONTROLS, "max_pool", "probsparse"}
    for row in measured:
        if row["fused_by"] == "as trained":
            assert float(row["top1"]) == pytest.approx(float(row["recorded_top1"]), abs=1e-3)
        if row["trained_with"] == "zero" and row["fused_by"] == "shuffled":
            assert float(row["logits_moved_percent"]) == 0, "zeros are the same in every image"
    page = (project.root / "results" / "report.html").read_text()
    assert "How trained models use their aggregators" in page
    assert "make it with" not in page
