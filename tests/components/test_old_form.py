"""Files that declare with SETTINGS, MINIMUM and REQUIRES work for one more release; both forms in one do not."""

from __future__ import annotations

from typing import Any

import pytest

from favit.components import declared
from favit.components.bounds import AtLeast
from favit.components.setting import Setting
from favit.sweeps.resolve import resolve
from tests.components.conftest import Write

IMAGES = {"dataset": "digits", "model": "favit_b0", "aggregator": "mine", "encoding": "none", "seed": 0}

OLD = """
from torch import Tensor, nn
SETTINGS = {"factor": 5, "measure": ("sampled", "exact"), "rate": 0.5, "on": False}
MINIMUM = {"factor": 1}
REQUIRES = {"factor < 9 or measure == 'exact'": "factor must be below 9 on a sample", "image_size > SMALL": "small"}
SMALL = 32

class Aggregator(nn.Module):
    def __init__(self, channels, heads, windows, factor=5, measure="sampled", rate=0.5, on=False): ...
"""


pytestmark = pytest.mark.filterwarnings("ignore:.*SETTINGS is deprecated:FutureWarning")


def test_a_file_in_the_old_form_is_read(write: Write) -> None:
    write("aggregators/mine", OLD)
    assert declared.settings("aggregators", "mine") == {
        "factor": Setting(int, 5, (AtLeast(1),)),
        "measure": Setting(str, "sampled", choices=("sampled", "exact")),
        "rate": Setting(float, 0.5),
        "on": Setting(bool, False),
    }
    assert resolve({**IMAGES, "aggregator.factor": 7})["aggregator.factor"] == 7
    assert "aggregator.factor" not in resolve({**IMAGES, "aggregator.factor": 5}).settings


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"aggregator.factor": 0}, "at least 1"),
        ({"aggregator.measure": "guess"}, "'sampled', 'exact'"),
        (
            {"aggregator.factor": 9},
            "below 9 on a sample: aggregator.factor is 9, aggregator.measure is 'sampled'",
        ),
        ({"image_size": 32}, "small: image_size is 32"),
        (
            {"aggregator.facto": 1},
            r"'aggregator.factor'.*aggregator.factor \(5\), .*aggregator.measure \('sampled'\)",
        ),
    ],
)
def test_its_bounds_choices_and_conditions_hold(write: Write, change: dict[str, Any], words: str) -> None:
    write("aggregators/mine", OLD)
    with pytest.raises(ValueError, match=words):
        resolve({**IMAGES, **change})


@pytest.mark.parametrize("room", ["attention", "encodings"])
def test_keywords_without_annotations_are_the_old_form_s(write: Write, room: str) -> None:
    name = {"attention": "Attention", "encodings": "Encoding"}[room]
    passed = {"attention": "length, causal=False, dropout=0.0", "encodings": "length=None, grid=None"}[room]
    init = f"def __init__(self, dim=1, *, {passed}, a: int = 1, other=None): ..."
    text = f'SETTINGS = {{"a": 1}}\nclass {name}:\n    {init}\n'
    write(f"{room}/mine", text)
    assert declared.settings(room, "mine") == {"a": Setting(int, 1)}


def test_its_writer_is_told_once(write: Write) -> None:
    write("aggregators/mine", OLD)
    with pytest.warns(FutureWarning, match=r"mine\.py: SETTINGS is deprecated") as told:
        declared.settings("aggregators", "mine")
        resolve(IMAGES)
    assert len(told) == 1
