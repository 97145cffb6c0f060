"""A miniature in ImageNet's layout through the rules that the real one would use: prepare, two processes, the table."""

from __future__ import annotations

import csv
import json
from typing import Any

import numpy as np
import pytest
import torch

from favit.train import weights
from tests.conftest import Project
from tests.imagenet import miniature

SWEEP: dict[str, Any] = {
    "device": "cpu",
    "keep": "weights",
    "resources": {"cpus": 2, "gpus": 2, "mem_mb": 2000, "runtime": 10},
    "recipes": {
        "images": {
            "epochs": 2,
            "batch_size": 8,
            "lr_batch": 4,
            "warmup_epochs": 1,
            "cooldown_epochs": 0,
            "image_size": 32,
            "crop_scale_min": 0.08,
            "flip": 0.5,
            "randaugment": "m9-mstd0.5-inc1",
            "erasing": 0.25,
            "mixup": 0.8,
            "cutmix": 1.0,
            "test_crop": 0.875,
        }
    },
    "sweeps": {
        "images": {
            "recipe": "images",
            "matrix": {
                "dataset": ["miniature"],
                "model": ["favit_b0"],
                "aggregator": ["probsparse"],
                "encoding": ["none"],
                "seed": [0],
            },
            "table": {"caption": "Miniature", "label": "tab:miniature"},
        }
    },
}


def add_miniature(project: Project, config: dict[str, Any]) -> None:
    (project.root / "favit/data/miniature.py").write_text(miniature.MODULE)
    project.configure(config)


@pytest.mark.slow
def test_from_folders_to_the_table(project: Project) -> None:
    add_miniature(project, SWEEP)
    folder = project.root / "data" / "miniature"

    project.snakemake("data")  # leaves what is to be had by hand to people
    told = project.snakemake("prepare", check=False)
    assert told.returncode != 0 and f"data/{folder.name} not found; create it" in told.stderr
    told = project.snakemake("images", check=False)
    assert told.returncode != 0
    assert "index.json not found; make it with `snakemake prepare`" in told.stderr
    assert "runs will fail unless the compute nodes have it" in told.stderr

    miniature.build(folder)
    done = project.snakemake("prepare")
    assert f"CMYK: {miniature.train_name(miniature.CMYK)}" in done.stdout
    assert f"skipped, damaged: {miniature.train_name(miniature.CORRUPT)}" in done.stdout
    assert "miniature: already prepared" in project.snakemake("prepare").stdout

    project.snakemake("images", "--cores", "2")
    (result,) = project.results()
    metrics = json.loads(result.read_text())
    assert metrics["hardware"]["processes"] == 2
    assert (metrics["train_examples"], metrics["test_examples"]) == (23, 8)
    assert metrics["fingerprint"]["data"].keys() == {"miniature/index.json"}
    labels = [label for i, label in enumerate(miniature.val_labels()) if i != miniature.CORRUPT_VAL]
    predictions = np.load(result.parent / "predictions.npz")
    assert predictions["labels"].tolist() == labels
    right = (predictions["predicted"] == labels).mean()
    assert metrics["metrics"]["top1"] == pytest.approx(100 * right)
    assert metrics["metrics"]["top5"] == 100, "of four classes"
    with (result.parent / "history.csv").open() as file:
        rates = [float(row["lr"]) for row in csv.DictReader(file)]
    assert rates[0] == pytest.approx(2 * metrics["run"]["lr"]), "8 images a step at the rate of 4"
    assert (project.root / "results/tables/images.tex").is_file()
    assert "Nothing to be done" in project.snakemake("images").stderr

    # Straight from the folder, too, and to the same weights
    for path in (*folder.glob("*.array_record"), folder / "index.json"):
        path.unlink()
    done = project.python("-m", "favit.prepare", "--in-place", "miniature")
    assert f"CMYK: {miniature.train_name(miniature.CMYK)}" in done.stdout
    assert not list(folder.glob("*.array_record"))
    project.snakemake("images", "--cores", "2")
    (direct,) = set(project.results()) - {result}
    one, other = (weights.read(path.parent / "weights.safetensors") for path in (result, direct))
    assert all(torch.equal(one[name], other[name]) for name in one)
