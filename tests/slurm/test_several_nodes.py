"""One run on several processes and nodes, by settings alone: torchrun in the allocation, gloo on the CPU."""

from __future__ import annotations

import csv
import json
import re
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from favit.train.weights import read
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


STEPS = 12  # an epoch; a checkpoint at its end
RANDOM = {
    "epochs": 3,
    "batch_size": 4,
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
    weights = {n: read(f / "weights.safetensors") for n, f in folders.items()}
    for n in (2, 4):
        assert metrics[n]["metrics"]["loss"] == pytest.approx(metrics[1]["metrics"]["loss"], rel=1e-4)
        difference = torch.cat([(weights[n][k] - w).abs().flatten() for k, w in weights[1].items()])
        # Where a gradient is nothing but rounding, Adam makes a whole step of it in either direction
        assert difference.max() < 6 * metrics[1]["run"]["lr"]
        assert (difference > 1e-5).float().mean() < 0.02


def test_two_nodes_warned_and_then_one_killed_go_on_to_the_same_end(cluster: Any, tmp_path: Path) -> None:
    """The warning before a time limit in mid-epoch, then a lost node in the next, with everything random on.

    The node that lives meets a broken connection long before SLURM knows why.
    """
    straight = trained(prepared(cluster, tmp_path / "straight", 2, 1, **RANDOM))
    project = prepared(cluster, tmp_path / "interrupted", 2, 1, **RANDOM)
    with ThreadPoolExecutor() as pool:
        running = pool.submit(project.on_cluster, "images")
        until_a_checkpoint(project, running, STEPS)
        job = cluster.run("squeue", "--me", "--noheader", "--states=RUNNING", "-o", "%A").split()[0]
        cluster.run("scancel", "--batch", "--signal=USR2", job)
        until_a_checkpoint(project, running, 2 * STEPS)
        time.sleep(0.2)
        cluster.crash("node2")
        try:
            cluster.wait_until("SLURM sees it", lambda: "down" in state_of(cluster, "node2"), 90)
        finally:
            cluster.start("node2")
        said = running.result().stderr
    (result,) = (path.parent for path in project.results())
    assert "Trying to restart" not in said and said.count("Submitted") == 1, "it was no failure"
    resumed = [line for line in (result / "train.log").read_text().splitlines() if "resumed" in line]
    assert len(resumed) == 2 and resumed[1] == f"resumed at epoch 3, step 0 of {STEPS}"
    assert re.fullmatch(rf"resumed at epoch 2, step [1-9]\d* of {STEPS}", resumed[0]), "not in mid-epoch"
    assert_same_to_the_bit(straight, result)


def until_a_checkpoint(project: Project, running: Future[Any], step: int) -> None:
    """Wait for that of this step."""
    while not list(project.root.glob(f"results/runs/**/checkpoint-{step:010d}.pt")):
        assert not running.done(), "it ended without a checkpoint"
        time.sleep(0.05)


def state_of(cluster: Any, node: str) -> str:
    return cluster.run("sinfo", "--noheader", "--nodes", node, "--partition=low", "-o", "%T")


def assert_same_to_the_bit(one: Path, other: Path) -> None:
    """Weights, metrics, predictions, and the history but for its seconds."""
    left, right = (read(folder / "weights.safetensors") for folder in (one, other))
    assert left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)
    left, right = (json.loads((folder / "metrics.json").read_text()) for folder in (one, other))
    assert all(left[key] == right[key] for key in ("metrics", "best", "epochs_run", "train_examples"))
    left, right = (np.load(folder / "predictions.npz") for folder in (one, other))
    assert all(np.array_equal(left[name], right[name]) for name in left.files)
    assert history(one) == history(other)


def history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    timed = ("seconds", "examples_per_second", "memory_bytes")
    return [{name: value for name, value in row.items() if name not in timed} for row in rows]
