"""What several settings must satisfy together: plain functions, run in the dry run without their files."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from favit.components import declared
from favit.components.rules import rule
from favit.components.source import source
from favit.sweeps.resolve import resolve
from tests.components.conftest import Write

IMAGES = {"dataset": "digits", "model": "favit_b0", "aggregator": "mine", "encoding": "none", "seed": 0}

MINE = """
import math
import re
import torch
from torch import max
ALLOWED = ("a", "b")
WRONG = torch.zeros(1)

class Aggregator(torch.nn.Module):
    def __init__(self, channels, heads, windows, *, low: int = 1, high: int = 2, name: str = "a"):
        pass

"""


def check(body: str, head: str = "def check_settings(low: int, high: int, name: str) -> None:") -> str:
    return MINE + head + "\n" + "".join(f"    {line}\n" for line in body.splitlines())


@pytest.mark.parametrize(
    "body",
    [
        "if low >= high:\n    raise ValueError(f'low ({low}) must be below high ({high})')",
        "assert_below = lambda a, b: a < b\nif not assert_below(low, high):\n    raise ValueError('low below high')",
        "limit: int = high\nif not all(x < limit for x in [low]):\n    raise ValueError('low below high')",
        "def below(a: int, b: Tensor) -> Tensor:\n    return a < b\n"
        "if not below(low, high):\n    raise ValueError('low below high')",
        "if math.ceil(low) >= high or not re.fullmatch('[a-z]', name) or name not in ALLOWED:\n"
        "    raise ValueError('low')",
        '"""Documented."""\nif low >= high: raise ValueError("low")',
    ],
)
def test_a_rule_spans_settings_in_the_dry_run(write: Write, body: str) -> None:
    write("aggregators/mine", check(body))
    resolve(IMAGES)
    with pytest.raises(ValueError, match=r"aggregator 'mine': low"):
        resolve({**IMAGES, "aggregator.low": 2})


def test_a_rule_may_ask_for_the_run(write: Write) -> None:
    write(
        "aggregators/mine",
        check("if image_size < 64: raise ValueError('small')", "def check_settings(image_size):"),
    )
    resolve(IMAGES)
    with pytest.raises(ValueError, match="small"):
        resolve({**IMAGES, "image_size": 32})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (check("return torch.ones(1)"), "uses torch"),
        (check("import os"), "cannot be read"),
        (check("open('x')"), "uses open"),
        (check("print(low)"), "uses print"),
        (check("__import__('os')"), "uses __import__"),
        (check("max(low, high)"), "uses max"),  # torch's in this file, not the built-in one
        (check("WRONG + low"), "uses WRONG"),
        (check("helper(low)"), "uses helper"),
        (check("global x\nx = 1"), "cannot be read"),
        (check("yield 1"), "cannot be read"),
        (check("pass", "def check_settings(low=1):"), "must not have defaults"),
        (check("pass", "def check_settings(*, low):"), r"\* and /"),
        (check("pass", "def check_settings(*low):"), r"\* and /"),
        (check("pass", "def check_settings(low, /):"), r"\* and /"),
        (check("pass", "@torch.no_grad()\ndef check_settings(low):"), "without decorators"),
        (check("pass", "async def check_settings(low):"), "plain function"),
        (check("pass", "class check_settings:"), "plain function"),
        (MINE + "check_settings = make()\n", "defined in this file"),
        (MINE + "if True:\n    def check_settings(low): pass\n", "under a condition"),
    ],
)
def test_a_rule_that_cannot_stand_alone_is_an_error(write: Write, text: str, words: str) -> None:
    write("aggregators/mine", text)
    with pytest.raises(ValueError, match=words) as raised:
        resolve(IMAGES)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (check("pass", "def check_settings(lwo):"), "uses lwo"),
        (check("pass", "def check_settings(seed):"), "uses seed"),  # runs differ by it alone
        (check("low / 0"), "ZeroDivisionError"),
        (check("return low < high"), "returned True"),
    ],
)
def test_a_rule_that_fails_is_named(write: Write, text: str, words: str) -> None:
    write("aggregators/mine", text)
    with pytest.raises(ValueError, match=words):
        resolve(IMAGES)


@pytest.mark.parametrize(
    ("path", "name", "values"),
    [
        (("models", "informer"), "check_settings", {"d_model": 512, "n_heads": 8}),
        (("models", "favit"), "check_settings", {"image_size": 32}),
        (
            ("data", "csv"),
            "check_settings",
            {"path": "x", "date": "d", "separator": ",", "decimal": ".", "train": 0.7, "validation": 0.1},
        ),
        (("train", "settings"), "check_images", {"color_jitter": 0.4, "randaugment": ""}),
    ],
)
def test_rules_of_the_house_are_compiled_alone(
    path: tuple[str, ...], name: str, values: dict[str, Any]
) -> None:
    from favit.components.literals import literals

    found = rule(source(*path), literals(*path), name)
    assert found is not None and set(found.parameters) == set(values)
    found.hold(values)


def test_the_dry_run_imports_neither_torch_nor_a_component() -> None:
    code = (
        "import sys\nfrom favit.sweeps.config import load\nfrom favit.sweeps.runs import runs\n"
        "runs(load())\nprint(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(done.stdout.split())
    assert not loaded & {"torch", "numpy", "pandas"}
    assert not [
        m for m in loaded if m.startswith(("favit.models.", "favit.attention.", "favit.data.", "favit.train"))
    ]


def test_an_attention_that_takes_position_needs_some() -> None:
    run = {
        "dataset": "etth1",
        "model": "informer",
        "aggregator": "cross_terms",
        "encoding": "temporal",
        "seed": 0,
    }
    with pytest.raises(ValueError, match=r"encoding is 'temporal'; valid: learned, legendre, sinusoidal"):
        resolve(run)
    assert declared.settings("attention", "cross_terms")["terms"].default == "all"
