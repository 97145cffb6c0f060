"""The contracts: built-in components satisfy them, and each check notices a component that does not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from favit.components import own, registry
from favit.components.literals import families
from favit.contracts import aggregators, attention, data, encodings, models
from favit.sweeps.resolve import resolve

ROOMS = {"attention": attention, "encodings": encodings}
FIRST_OF_FAMILY = sorted({family: name for name, family in reversed(families().items())}.values())


def by_name(check: Any) -> str:
    return str(getattr(check, "__name__", check))


@pytest.mark.parametrize(
    ("name", "check"),
    [(n, c) for room, module in ROOMS.items() for n in registry.names(room) for c in module.CHECKS],
    ids=by_name,
)
def test_built_in_mechanisms_keep_their_contract(name: str, check: Any) -> None:
    torch.manual_seed(0)
    check(name)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n == "favit_b0" else n for n in FIRST_OF_FAMILY]
)
@pytest.mark.parametrize("check", models.CHECKS, ids=by_name)
def test_built_in_models_keep_their_contract(name: str, check: Any) -> None:
    torch.manual_seed(0)
    check(name)


@pytest.mark.parametrize("name", ["digits", "seattle_weather"])
@pytest.mark.parametrize("check", data.CHECKS, ids=by_name)
def test_built_in_data_sets_keep_their_contract(name: str, check: Any, tmp_path: Path) -> None:
    check(name, tmp_path, run_with(name))


def run_with(dataset: str, **more: Any) -> Any:
    images = own.shown("data", dataset) == "favit/data/digits.py" or "classification" in source_of(dataset)
    axes = (
        {"model": "favit_b0", "aggregator": "max_pool"}
        if images
        else {"model": "informer", "aggregator": "full"}
    )
    return resolve(
        {"dataset": dataset, **axes, "encoding": "none", "seed": 0, "schedule": "constant", **more}
    ).settings


def source_of(dataset: str) -> str:
    file = own.file_of(f"favit.data.{dataset}")
    return file.read_text() if file else ""


GOOD_AGGREGATOR = """
import torch
from torch import nn

class Aggregator(nn.Module):
    def __init__(self, channels, heads, windows):
        super().__init__()

    def forward(self, samples, queries, key_map, grid):
        return samples.mean(dim=3)
"""
GOOD_ATTENTION = """
import torch
from torch import nn

class Attention(nn.Module):
    def __init__(self, length, causal=False, dropout=0.0):
        super().__init__()
        self.causal = causal

    def forward(self, q, k, v):
        scores = q @ k.mT
        if self.causal:
            later = torch.ones(scores.shape[-2:], device=q.device).triu(1)
            scores = scores.masked_fill(later.bool(), float("-inf"))
        return scores.softmax(-1) @ v
"""
GOOD_ENCODING = """
import torch
from torch import nn

class Encoding(nn.Module):
    def __init__(self, dim, length=None, grid=None):
        super().__init__()
        self.dim = dim
        self.register_buffer("one", torch.ones(()), persistent=False)

    def forward(self, *lengths):
        if not 0 < len(lengths) < 3 or min(lengths) < 1:
            raise ValueError("lengths")
        places = torch.arange(torch.tensor(lengths).prod().item(), dtype=torch.float32)
        return places.to(self.one.device)[:, None].expand(-1, self.dim)
"""
GOOD_MODEL = """
from torch import nn

VARIANTS = ("plain",)
TASK = "classification"

def build(run, facts):
    return nn.Sequential(nn.Flatten(), nn.Linear(facts["channels"] * run["image_size"] ** 2, facts["classes"]))
"""
GOOD_DATA = """
import torch
from favit.data._images import ImageData

TASK = "classification"
FACTS = {"classes": 2, "channels": 3, "image_size": 4}
FILES = {"mine.txt": ""}

def load(root, run):
    (root / "mine.txt").read_text()
    images, labels = torch.arange(96, dtype=torch.uint8).reshape(2, 3, 4, 4), torch.tensor([0, 1])
    return ImageData(images, labels, images, labels, (0.5,) * 3, (0.5,) * 3, ("a", "b"))
"""

# Where it lies, what is changed, and the one check (or more) that has to notice.
BROKEN = [
    ("aggregators", "", "", ()),
    ("aggregators", "mean(dim=3)", "mean(dim=3)[:, :, :48]", ("takes_any_grid_of_windows",)),
    ("aggregators", "mean(dim=3)", "mean(dim=3).double()", ("takes_any_grid_of_windows",)),
    ("aggregators", "samples.mean(dim=3)", "samples.detach().mean(dim=3) + samples.sum() * 0", ("passes_gradients",)),
    ("aggregators", "mean(dim=3)", "mean(dim=(0, 3), keepdim=True).squeeze(3).expand(len(samples), -1, -1, -1)",
     ("keeps_images_apart",)),
    ("aggregators", "mean(dim=3)", "mean(dim=3) * torch.rand(())", ("draws_no_random_number",)),
    ("aggregators", "        return", "        print(samples.sum().item())\n        return", (
        "compiles_as_one_graph",)),
    ("aggregators", "mean(dim=3)", "float().mean(dim=3)", ("runs_in_half_precision",)),
    ("attention", "", "", ()),
    ("attention", "@ v", "@ v.float()", ("gives_values_for_queries",)),
    ("attention", "@ v", "@ v + v.mean((0, 1, 2))", ("keeps_examples_apart",)),
    ("attention", "triu(1)", "triu(2)", ("lets_no_gradient_back_in_time",)),
    ("attention", "@ v", "@ v * torch.rand(())", ("repeats_itself_in_evaluation", "samples_by_its_generator_alone")),
    ("attention", "scores = q @ k.mT", "scores = (q @ k.mT).sqrt()", ("gives_values_for_queries",)),
    ("encodings", "", "", ()),
    ("encodings", "(self.one.device)[:, None]", "(self.one.device)[1:, None]", (
        "gives_a_vector_for_each_step", "gives_a_vector_for_each_place")),
    ("encodings", "raise ValueError", "lengths = (1,)  #", ("refuses_lengths_that_make_no_sense",)),
    ("encodings", "places.to(self.one.device)[:, None]", "torch.rand(len(places), 1)", ("repeats_itself",)),
    ("encodings", "(self.one.device)[:, None]", "(self.one.device)[:, None].mul(0)", (
        "adds_nothing_where_it_says_so",)),
    ("encodings", "import torch\n", "import torch\nADDS_POSITION = False\n", ("adds_nothing_where_it_says_so",)),
    ("encodings", ".to(self.one.device)", "", ("stays_on_its_device",)),
    ("attention", ", device=q.device", "", ("stays_on_the_device_of_its_input",)),
    ("models", "", "", ()),
    ("models", 'facts["classes"])', 'facts["classes"] + 1)', ("answers_in_the_shape_of_its_task",)),
    ("models", 'facts["classes"])', 'facts["classes"]), _Double()', ("answers_in_the_shape_of_its_task",)),
    ("models", 'nn.Linear(facts["channels"] * run["image_size"] ** 2, facts["classes"])', "_First(facts['classes'])",
     ("passes_gradients",)),
    ("models", "nn.Flatten()", "nn.Flatten(), nn.Dropout1d(0.5).requires_grad_(), _Noise()", (
        "repeats_itself_in_evaluation", "keeps_examples_apart")),
    ("data", "", "", ()),
    ("data", '"classes": 2', '"classes": 3', ("states_what_it_holds",)),
    ("data", "dtype=torch.uint8", "dtype=torch.float32", ("has_the_shapes_of_its_task",)),
    ("data", "torch.tensor([0, 1])", "torch.tensor([0, 2])", ("has_sensible_parts",)),
    ("data", "torch.arange(96, dtype=torch.uint8)", "torch.randint(255, (96,), dtype=torch.uint8)",
     ("is_the_same_each_time",)),
    ("data", 'FILES = {"mine.txt": ""}', "FILES = {}", ("names_the_files_that_it_reads",)),
]  # fmt: skip
GOOD = {"aggregators": GOOD_AGGREGATOR, "attention": GOOD_ATTENTION, "encodings": GOOD_ENCODING,
        "models": GOOD_MODEL, "data": GOOD_DATA}  # fmt: skip
NOISE = """
import torch

class _First(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.n = n

    def forward(self, x):
        return x[:, : self.n]

class _Double(nn.Module):
    def forward(self, x):
        return x.double()

class _Noise(nn.Module):
    def forward(self, x):
        return x + torch.rand(()) * x.mean()
"""
COSTLY = {"repeats_with_checkpointing", "takes_channels_last", "trains_under_autocast", "costs_little_arithmetic",
          "keeps_little_for_backward", "runs_in_half_precision", "compiles_as_one_graph"}  # fmt: skip


@pytest.mark.parametrize(("room", "old", "new", "notice"), BROKEN)
def test_what_is_broken_is_noticed_by_the_check_that_names_it(
    write: Any, tmp_path: Path, room: str, old: str, new: str, notice: tuple[str, ...]
) -> None:
    text = GOOD[room].replace(old, new) if old else GOOD[room]
    assert not old or text != GOOD[room]
    write(f"{room}/mine", text + NOISE * any(word in text for word in ("_Noise", "_First", "_Double")))
    (tmp_path / "mine.txt").write_text("1")
    module = {"aggregators": aggregators, "models": models, "data": data, **ROOMS}[room]
    arguments: tuple[Any, ...] = ("plain",) if room == "models" else ("mine",)
    if room == "data":
        arguments = ("mine", tmp_path, run_with("mine"))
    models._run.cache_clear()
    for check in module.CHECKS:
        torch.manual_seed(0)
        if check.__name__ in notice:
            with pytest.raises(
                (AssertionError, RuntimeError, torch._dynamo.exc.Unsupported, NotImplementedError)
            ):
                check(*arguments)
        elif not notice and check.__name__ not in COSTLY - {"runs_in_half_precision"}:
            check(*arguments)


def test_the_command_names_what_does_not_hold(write: Any, capsys: pytest.CaptureFixture[str]) -> None:
    from favit.commands import main

    file = write(
        "encodings/mine", GOOD_ENCODING.replace("(self.one.device)[:, None]", "(self.one.device)[1:, None]")
    )
    assert main.main(["check", "mine", "--config", "/nowhere"]) == 2 - 1
    assert "no component or folder 'mine'" in capsys.readouterr().err
    assert main.main(["check", str(file.parents[1]), "--config", "/nowhere"]) == 1
    said = capsys.readouterr().out
    assert (
        re.search(r"FAILED  encoding\(length\) gives \(length, dim\)", said) and "1 steps give (0, 8)" in said
    )
    assert "1 component, 8 checks: 2 failed" in said
    file.write_text(GOOD_ENCODING)
    assert main.main(["check", str(file.parents[1]), "--config", "/nowhere"]) == 0
    assert "all passed" in capsys.readouterr().out
