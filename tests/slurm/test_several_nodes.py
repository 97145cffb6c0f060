"""One run on several processes and nodes, by settings alone: torchrun in the allocation, gloo on the CPU."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import Project, copy_project

# Nothing random that depends on the process, so that any number of them does what one does.
QUIET: dict[str, Any] = {
    "device": "cpu",
    "keep": "weights",
    "recipes": {
        "images": {
            "epochs": 2,
            "batch_size": 16,
            "warmup_epochs": 1,
            "cooldown_epochs": 0,
            "image_size": 32,
            "limit_train": 48,
            "limit_test": 20,
            "drop_path": 0.0,
        }
    },
    "sweeps": {
        "images": {
            "recipe": "images",
            "matrix": {
                "dataset": ["digits"],
                "model": ["favit_b0"],
                "aggregator": ["max_pool"],
                "encoding": ["none"],
                "seed": [0],
            },
        }
    },
}


RANDOM = {
    "crop_scale_min": 0.3,
    "flip": 0.5,
    "randaugment": "m9-mstd0.5-inc1",
    "mixup": 0.8,
    "drop_path": 0.2,
}


def prepared(cluster: Any, folder: Path, nodes: int, gpus: int, **settings: Any) -> Project:
    """The sweep on so many nodes and processes, ready to be started."""
    project: Project = copy_project(folder)
    project.environment = {**cluster.env, "GLOO_SOCKET_IFNAME": "lo"}
    resources = {"cpus": max(1, gpus), "gpus": gpus, "nodes": nodes, "mem_mb": 2500, "runtime": 10}
    recipe = {"images": {**QUIET["recipes"]["images"], **settings}}
    project.configure({**QUIET, "recipes": recipe, "resources": resources})
    return project


def trained(project: Project) -> Path:
    """The result's folder."""
    project.on_cluster("images")
    (result,) = project.results()
    return result.parent


def test_one_two_and_four_processes_agree(cluster: Any, tmp_path: Path) -> None:
    """On one node, and on two with two each."""
    layouts = {1: (1, 0), 2: (1, 2), 4: (2, 2)}
    folders = {n: trained(prepared(cluster, tmp_path / str(n), *layout)) for n, layout in layouts.items()}
    metrics = {n: json.loads((f / "metrics.json").read_text()) for n, f in folders.items()}
    assert {n: m["hardware"]["processes"] for n, m in metrics.items()} == {1: 1, 2: 2, 4: 4}
    assert {m["fingerprint"]["digest"] for m in metrics.values()} == {metrics[1]["fingerprint"]["digest"]}
    weights = {n: torch.load(f / "weights.pt") for n, f in folders.items()}
    for n in (2, 4):
        assert metrics[n]["metrics"]["loss"] == pytest.approx(metrics[1]["metrics"]["loss"], rel=1e-4)
        difference = torch.cat([(weights[n][k] - w).abs().flatten() for k, w in weights[1].items()])
        # Where a gradient is nothing but rounding, Adam makes a whole step of it in either direction
        assert difference.max() < 6 * metrics[1]["run"]["lr"]
        assert (difference > 1e-5).float().mean() < 0.02


def test_two_nodes_that_are_warned_go_on_to_the_same_end(cluster: Any, tmp_path: Path) -> None:
    """The warning before a time limit, in the middle of training and with everything random on."""
    settings = {**RANDOM, "epochs": 30}
    straight = trained(prepared(cluster, tmp_path / "straight", 2, 1, **settings))
    project = prepared(cluster, tmp_path / "warned", 2, 1, **settings)
    with ThreadPoolExecutor() as pool:
        running = pool.submit(trained, project)
        while not list(project.root.glob("results/runs/**/checkpoint-*.pt")):
            assert not running.done(), "it ended before it could be warned"
            time.sleep(0.1)
        job = cluster.run("squeue", "--me", "--noheader", "--states=RUNNING", "-o", "%A").split()[0]
        cluster.run("scancel", "--batch", "--signal=USR2", job)
        warned = running.result()
    (log,) = warned.glob("train.log")
    assert "resumed at epoch" in log.read_text()
    one, other = (torch.load(folder / "weights.pt") for folder in (straight, warned))
    assert all(torch.equal(one[name], other[name]) for name in one)
