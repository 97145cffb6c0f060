"""The authors' Informer: its outputs for weights that follow from names, its names and its numbers of parameters."""

from __future__ import annotations

import json
import math
import zlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from favit.models.informer import Informer, build, checkpoint_filter_fn

PUBLISHED = json.loads(Path(__file__).with_name("informer_small.json").read_text())


def fill(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Values that follow from each tensor's name and size alone."""
    for name, tensor in state_dict.items():
        n = tensor.numel()
        phase = zlib.crc32(name.encode()) % 1000
        wave = torch.sin(torch.arange(n, dtype=torch.float64) * 0.7310585 + phase)
        if tensor.dim() > 1:
            wave = wave * math.sqrt(2.0 / max(1, n // tensor.shape[0]))
        else:
            wave = 1 + 0.1 * wave if name.endswith("weight") else 0.05 * wave
        tensor.copy_(wave.reshape(tensor.shape))
    return state_dict


def wave(*shape: int, k: float = 0.0137, p: float = 0.0) -> Tensor:
    """sin(k n + p) over the flattened index n."""
    return torch.sin(torch.arange(math.prod(shape), dtype=torch.float64) * k + p).reshape(*shape).float()


def published_state() -> dict[str, Tensor]:
    """A state dict under the authors' names; batch norm's statistics and the sinusoids as they are initially."""
    state = {name: torch.zeros(shape) for name, shape in PUBLISHED["shapes"].items()}
    fill({name: tensor for name, tensor in state.items() if name not in PUBLISHED["not_filled"]})
    for name in state:
        if name.endswith("running_var"):
            state[name].fill_(1)
    return state


def small() -> Informer:
    settings = {
        "model.d_model": PUBLISHED["d_model"],
        "model.n_heads": PUBLISHED["n_heads"],
        "model.d_ff": PUBLISHED["d_ff"],
        "model.e_layers": PUBLISHED["e_layers"],
        "model.d_layers": PUBLISHED["d_layers"],
    }
    lengths = {
        "input_length": PUBLISHED["input"],
        "label_length": PUBLISHED["label"],
        "horizon": PUBLISHED["horizon"],
    }
    run = {"aggregator": "full", "encoding": "sinusoidal", **lengths, **settings}
    return build(run, {"variables": 7, "time_features": PUBLISHED["time_features"]}).eval()


def inputs() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    length, label, horizon, marks = (PUBLISHED[k] for k in ("input", "label", "horizon", "time_features"))
    x_dec = wave(2, label + horizon, 7, k=0.017, p=1.0)
    x_dec[:, label:] = 0
    mark_enc = wave(2, length, marks, k=0.031) * 0.5
    mark_dec = wave(2, label + horizon, marks, k=0.029, p=2.0) * 0.5
    return wave(2, length, 7), mark_enc, x_dec, mark_dec


@torch.no_grad()
def test_outputs_of_the_published_code() -> None:
    model = small()
    model.load_state_dict(checkpoint_filter_fn(published_state(), model))
    expected = torch.tensor(PUBLISHED["output"]).reshape(2, 3, 7)
    found = model(*inputs())
    assert list(found.shape) == PUBLISHED["output_shape"]
    assert (found[:, :3] - expected).norm() / expected.norm() < 1e-4
    torch.testing.assert_close(found[:, :3], expected, rtol=1e-4, atol=1e-5)


def test_every_published_name_is_used_and_none_left_over() -> None:
    model = small()
    renamed = checkpoint_filter_fn(published_state(), model)
    assert renamed.keys() == model.state_dict().keys()
    assert len(renamed) == len(PUBLISHED["shapes"]) - 2  # the two tables of sinusoids


def test_own_checkpoints_pass_unchanged() -> None:
    own = small().state_dict()
    passed = checkpoint_filter_fn(own, small())
    assert passed.keys() == own.keys() and all(torch.equal(passed[name], own[name]) for name in own)


def full_size(**changes: Any) -> Informer:
    run = {
        "aggregator": "probsparse",
        "encoding": "sinusoidal",
        "input_length": 64,
        "label_length": 48,
        "horizon": 24,
    }
    time_features = changes.pop("time_features", 4)
    return build({**run, **changes}, {"variables": 7, "time_features": time_features})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 11_330_055),
        ({"aggregator": "full"}, 11_330_055),
        ({"aggregator": "delta_v"}, 11_330_055),
        ({"aggregator": "cross_terms"}, 11_330_055),
        ({"encoding": "legendre"}, 11_330_055),
        ({"time_features": 5}, 11_331_079),
        ({"aggregator": "full", "time_features": 5, "horizon": 96}, 11_331_079),
        ({"encoding": "temporal"}, 11_330_055),
        ({"encoding": "none"}, 11_330_055 - 2 * 5 * 512),  # two embeddings of 4 time features, with bias
        ({"encoding": "learned"}, 11_330_055 + (64 + 72) * 512),
        (
            {"model.mlp_depth": 4},
            11_330_055 + 3 * 2 * (2048 + 1) * 2048,
        ),  # two more layers in each of three blocks
    ],
)
def test_numbers_of_parameters(changes: dict[str, Any], expected: int) -> None:
    assert sum(p.numel() for p in full_size(**changes).parameters()) == expected


def test_the_small_model_has_as_many_as_published() -> None:
    assert sum(p.numel() for p in small().parameters()) == PUBLISHED["params"]
