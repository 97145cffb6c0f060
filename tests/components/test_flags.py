"""What a file does not say has a default or is asked for in the dry run, not in the midst of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from favit.components import declared, registry
from favit.components.facts import facts, stated
from favit.components.flags import DEFAULTS, flag
from favit.components.literals import families, family_of, literals, trained
from favit.sweeps.resolve import resolve
from tests.components.conftest import Write

IMAGES = {"dataset": "digits", "model": "favit_b0", "aggregator": "max_pool", "encoding": "none", "seed": 0}
SERIES = {"dataset": "etth1", "model": "informer", "aggregator": "full", "encoding": "none", "seed": 0}

ENCODING = "class Encoding:\n    def __init__(self, dim, length=None, grid=None): ...\n"
ATTENTION = "class Attention:\n    def __init__(self, length, causal=False, dropout=0.0): ...\n"


def test_files_without_flags_have_the_common_ones(write: Write) -> None:
    write("encodings/mine", ENCODING)
    write("attention/mine", ATTENTION)
    assert {which: flag("encodings", "mine", which) for which in DEFAULTS["encodings"]} == {
        "IMAGES": True,
        "SERIES": True,
        "TIME": True,
        "ADDS_POSITION": True,
    }
    assert flag("attention", "mine", "POSITION_INSIDE") is False
    resolve({**SERIES, "aggregator": "mine", "encoding": "mine"})
    resolve({**IMAGES, "encoding": "mine"})


def test_a_model_is_built_from_an_encoding_and_an_attention_without_flags(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The modules have no flag at all, as a user's first file has none."""
    from favit.encodings.sinusoidal import Encoding
    from favit.models import favit, informer

    write("encodings/mine", ENCODING)
    write("attention/mine", ATTENTION)
    real = registry.load

    def load(kind: str, name: str) -> Any:
        if name != "mine":
            return real(kind, name)
        bare = type(registry)("bare")
        vars(bare).update(Encoding=Encoding, Attention=real("attention", "full").Attention)
        return bare

    monkeypatch.setattr(registry, "load", load)
    lengths = {"input_length": 8, "label_length": 4, "horizon": 2, "model.d_model": 8, "model.d_ff": 8}
    run = {"aggregator": "mine", "encoding": "mine", **lengths}
    model = informer.build(run, {"variables": 2, "time_features": 3})
    assert model.enc_embedding.time is not None and model.enc_embedding.encoding is not None
    images = {
        "model": "favit_b0",
        "aggregator": "max_pool",
        "encoding": "mine",
        "image_size": 32,
        "drop_path": 0.0,
    }
    assert favit.build(images, {"classes": 3})(torch.zeros(1, 3, 32, 32)).shape == (1, 3)


@pytest.mark.parametrize(
    ("where", "text", "change", "words"),
    [
        (
            "encodings/mine",
            "IMAGES = 1\n" + ENCODING,
            {"encoding": "mine"},
            "IMAGES must be True or False, not 1",
        ),
        ("encodings/mine", "TIME = 'no'\n" + ENCODING, {"encoding": "mine"}, "TIME must be True or False"),
        ("encodings/mine", "IMAGES = not 1\n" + ENCODING, {"encoding": "mine"}, "IMAGES cannot be read"),
        ("encodings/mine", "IMAGES = False\n" + ENCODING, {"encoding": "mine"}, "unknown encoding 'mine'"),
        (
            "data/mine",
            "FACTS = {'classes': 3}\n",
            {"dataset": "mine"},
            "TASK must be one of 'classification'",
        ),
        ("data/mine", "TASK = 'images'\n", {"dataset": "mine"}, "TASK must be one of .* not 'images'"),
        ("data/mine", "TASK = 'classification'\n", {"dataset": "mine"}, "how many classes"),
        (
            "data/mine",
            "TASK = 'classification'\nFACTS = {'channels': 3}\n",
            {"dataset": "mine"},
            "how many classes",
        ),
        (
            "data/mine",
            "TASK = 'classification'\nFACTS = {'classes': 3}\nFEED = 'disc'\n",
            {"dataset": "mine"},
            "no feed 'disc'",
        ),
        ("models/mine", "VARIANTS = ('mine',)\n", {"model": "mine"}, "TASK must be one of"),
        (
            "models/mine",
            "VARIANTS = 'mine'\nTASK = 'classification'\n",
            {"model": "mine"},
            "VARIANTS must list names",
        ),
        (
            "models/mine",
            "VARIANTS = ['mine']\nTASK = 'classification'\nAGGREGATORS = 'mixers'\n",
            {"model": "mine"},
            "AGGREGATORS must be",
        ),
    ],
)
def test_the_dry_run_asks_for_what_training_needs(
    write: Write, where: str, text: str, change: dict[str, str], words: str
) -> None:
    write(where, text)
    with pytest.raises(ValueError, match=words) as raised:
        resolve({**IMAGES, **change})
    assert "\n" not in str(raised.value)


def test_a_broken_file_is_no_matter_of_runs_that_do_not_name_it(write: Write) -> None:
    write("encodings/mine", "IMAGES = 1\n" + ENCODING)
    write("aggregators/mine", "class Aggregator(:\n")
    resolve(IMAGES)
    resolve(SERIES)


def test_facts_have_one_home() -> None:
    class Loaded:
        facts: ClassVar[dict[str, int]] = {"variables": 7, "time_features": 4}

    class Other:
        facts: ClassVar[dict[str, int]] = {"variables": 8, "time_features": 4}

    assert facts("etth1", Loaded()) == stated("etth1") == Loaded.facts
    assert facts("csv", Other()) == Other.facts and stated("csv") is None
    assert facts("digits", object())["classes"] == 10
    with pytest.raises(ValueError, match=r"etth1.py states FACTS .* hold"):
        facts("etth1", Other())


def test_an_unknown_key_is_answered_with_the_valid_ones_and_their_defaults() -> None:
    with pytest.raises(ValueError) as raised:
        resolve({**SERIES, "aggregator": "probsparse", "aggregator.facto": 3})
    message = str(raised.value)
    assert "did you mean 'aggregator.factor'?" in message
    for word in (
        "Valid: aggregator.factor (5)",
        "aggregator.measure ('max_mean')",
        "aggregator.exact (false)",
    ):
        assert word in message
    assert message.index("epochs (300)") < message.index("lr (0.001)") < message.index("horizon (24)")


def test_every_model_of_the_house_is_known(tmp_path: Path) -> None:
    alone = ("informer", "repeat_last", "seasonal_naive", "linear", "nlinear", "dlinear")
    assert families() == {**{f"favit_b{i}": "favit" for i in range(4)}, **{name: name for name in alone}}
    assert family_of("timm-resnet18") == "timm" and family_of("favit_b1") == "favit"
    with pytest.raises(ValueError, match="unknown model 'timn-resnet18'; valid: dlinear"):
        family_of("timn-resnet18")
    assert [name for name in families() if not trained(name)] == ["repeat_last", "seasonal_naive"]
    assert literals("models", "favit")["TASK"] == declared.task_of_model("favit_b2")
