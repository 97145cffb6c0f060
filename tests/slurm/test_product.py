"""The product on a real SLURM: the demonstration, and small sweeps on the real ETTh1 and CIFAR-100."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Project, copy_project
from tests.train.runs import assert_same_result
from tests.workflow.conftest import TINY


@pytest.fixture
def project(cluster: Any, tmp_path: Path) -> Project:
    """A copy of the project whose commands see the test cluster."""
    copied = copy_project(tmp_path / "project")
    copied.environment = dict(cluster.env)
    return copied


def metrics(project: Project) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in project.results()]


@pytest.mark.parametrize("rows", ["some", pytest.param("all", marks=pytest.mark.slow)])
def test_the_demonstration_trains_through_submitit(project: Project, rows: str) -> None:
    """As shipped but for its size: what it reaches is measured elsewhere, where nothing else runs."""
    config = project.config()
    # Aggregators, rows of Informer, and beside them a model of timm and five forecasters
    expected = 5 + 4 + 1 + 5
    if rows == "some":
        config["sweeps"]["demo-digits"]["matrix"]["aggregator"] = ["max_pool", "probsparse"]
        config["sweeps"]["demo-weather"]["matrix"]["aggregator"] = ["full"]
        expected = 2 + 2 + 1 + 5
    config["sweeps"]["demo-digits"]["settings"] = {
        "epochs": 1,
        "limit_train": 64,
        "limit_test": 32,
        "image_size": 32,
    }
    config["sweeps"]["demo-weather"]["settings"] = {"epochs": 1}
    project.configure(config)
    project.on_cluster("demo")
    found = metrics(project)
    assert len(found) == expected and {m["status"] for m in found} == {"finished"}
    for name in ("demo-digits", "demo-weather"):
        for suffix in (".csv", ".tex", ".md"):
            assert (project.root / "results" / "tables" / f"{name}{suffix}").stat().st_size > 0
    assert "Nothing to be done" in project.on_cluster("demo").stderr


@pytest.mark.parametrize("rows", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_real_series_and_images_train_on_the_cluster(project: Project, real_data: Path, rows: int) -> None:
    data = project.root / "data"
    data.mkdir()
    shutil.copytree(real_data / "ett", data / "ett")
    subprocess.run([sys.executable, str(real_data / "unpack_cifar100"), str(data)], check=True, timeout=300)
    config = project.config()
    small = {"cpus": 1, "gpus": 0, "mem_mb": 2000, "runtime": 20}
    matrix = config["sweeps"]["etth1-delta-v"]["matrix"]
    narrow = {"epochs": 1, "model.d_model": 16, "model.n_heads": 2, "model.d_ff": 16, "batch_size": 256}
    config["sweeps"] = {
        "etth1": {
            **config["sweeps"]["etth1-delta-v"],
            "matrix": {**matrix, "mechanism": matrix["mechanism"][:rows], "seed": [0]},
            "settings": narrow,
            "beside": [],
            "resources": small,
        },
        "cifar100": {
            "recipe": "seed",
            "resources": small,
            "settings": {
                "epochs": 1,
                "warmup_epochs": 0,
                "cooldown_epochs": 0,
                "batch_size": 32,
                "image_size": 32,
                "precision": "float32",
                "limit_train": 128,
                "limit_test": 64,
            },
            "matrix": {
                "dataset": ["cifar100"],
                "model": ["favit_b0"],
                "aggregator": ["max_pool", "probsparse"],
                "encoding": ["none"],
                "seed": [0],
            },
        },
    }
    config["groups"] = {}
    project.configure(config)
    project.on_cluster("all")
    found = metrics(project)
    series = [m for m in found if m["run"]["dataset"] == "etth1"]
    images = [m for m in found if m["run"]["dataset"] == "cifar100"]
    assert len(series) == rows and len(images) == 2
    assert all(m["test_examples"] == 2857 and 0 < m["metrics"]["mse"] < 5 for m in series)
    assert all(m["test_examples"] == 64 and 0 <= m["metrics"]["top1"] <= 100 for m in images)
    assert all(m["fingerprint"]["data"] for m in found)
    assert "0.519" in (project.root / "results" / "tables" / "etth1.md").read_text()


# Notes the list of each process that is given one.
NOTE_LISTS = """
import sys
if "--runs" in sys.orig_argv:
    with open(sys.orig_argv[-1]) as asked, open("lists", "a") as noted:
        noted.write(f"{len(asked.readlines())}\\n")
"""
FOLDERS = """
from favit.results.state import Results
from favit.sweeps.config import load
from favit.sweeps.runs import runs
config = load()
print(*(state.folder for state in Results(config).states(runs(config))), sep="\\n")
"""


def test_packed_runs_share_processes_and_are_those_unpacked(cluster: Any, tmp_path: Path) -> None:
    """One that fails in a process harms none of those it is shared with; numbers are equal to the bit."""
    packed, alone = copy_project(tmp_path / "two words"), copy_project(tmp_path / "alone")
    packed.environment = dict(cluster.env)
    matrix = {**TINY["sweeps"]["series"]["matrix"], "aggregator": ["probsparse"], "seed": [0, 1, 2, 3, 4]}
    sweeps = {"series": {**TINY["sweeps"]["series"], "matrix": matrix, "table": {}}}
    for project in (packed, alone):
        project.configure({**TINY, "keep": "weights", "groups": {}, "sweeps": sweeps})
    (packed.root / "sitecustomize.py").write_text(NOTE_LISTS)
    folders = [Path(line) for line in packed.python("-c", FOLDERS).stdout.split("\n") if line]
    in_the_way = packed.root / folders[1] / "history.csv"
    in_the_way.mkdir(parents=True)
    options = ("--submitit-pack", "2", "--submitit-pack-wait-s", "1", "series")
    packed.on_cluster("--retries", "0", *options, check=False)
    whole = [(packed.root / folder / "metrics.json").exists() for folder in folders]
    assert whole == [True, False, True, True, True]
    lengths = [int(line) for line in (packed.root / "lists").read_text().split()]
    assert sum(lengths) == 5 and max(lengths) > 1
    in_the_way.rmdir()
    packed.on_cluster(*options)
    assert "Nothing to be done" in packed.on_cluster(*options).stderr
    alone.snakemake(*(str(folders[i] / "metrics.json") for i in (1, 4)))
    for i in (1, 4):
        assert_same_result(alone.root / folders[i], packed.root / folders[i])
