"""One's own data and models are tried once before anything is queued; what is wrong is told in a line for each."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from favit.disk.cache import Cache
from favit.planning import tried
from favit.results.state import Results, State
from favit.sweeps.config import ConfigError, parse
from favit.sweeps.runs import runs
from tests.contracts.conftest import Write
from tests.contracts.conftest import write as write  # the fixture
from tests.contracts.test_contracts import GOOD_MODEL
from tests.data.test_own_csv import PLAIN

NONE = {"aggregator": ["none"], "encoding": ["none"]}
SWEEPS = {
    "rows": {
        "settings": {"input_length": 8, "label_length": 4, "horizon": 3, "schedule": "constant"},
        "matrix": {"dataset": ["csv"], "dataset.path": ["x.csv"], "model": ["linear", "nlinear"], **NONE,
                   "seed": [0, 1]},
    },
    "pictures": {
        "settings": {"image_size": 32, "schedule": "constant"},
        "matrix": {"dataset": ["digits"], "model": ["plain"], **NONE, "lr": [0.1, 0.2], "seed": [0]},
    },
}  # fmt: skip


def states(folder: Path, *names: str) -> list[State]:
    sweeps = {name: SWEEPS[name] for name in names}
    own = [str(folder / "my_lab")] if (folder / "my_lab").is_dir() else []
    config = parse(
        {"components": own, "data": str(folder), "results": str(folder / "results"), "sweeps": sweeps}
    )
    return Results(config).states(runs(config))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("nn.Flatten()", "nn.Flatten()"), None),
        (("from torch import nn", "import no_such_package"), "No module named 'no_such_package'"),
        (("return", "raise SystemExit(2)\n    return"), "SystemExit: 2"),
        (("return", "made ="), "'NoneType' object has no attribute"),
        (
            ('facts["classes"])', 'facts["classes"] + 1)'),
            "its output is (2, 11) of torch.float32, not (2, 10)",
        ),
        (('run["image_size"]', 'run["size"]'), "KeyError: 'size'"),
    ],
)
def test_a_model_answers(write: Write, tmp_path: Path, change: tuple[str, str], said: str | None) -> None:
    write("models/mine", GOOD_MODEL.replace(*change).replace("\nTASK", "\nAGGREGATORS = 'none'\nTASK"))
    (state, _) = states(tmp_path, "pictures")
    asked = tried._asked(state, tmp_path)
    assert asked["builds"] and not asked["reads"]
    answer = tried.answer(asked, tmp_path)
    assert answer["data"] is None
    assert (said in answer["model"]) if said else answer["model"] is None


def test_each_is_asked_once_and_failures_are_counted(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("models/mine", GOOD_MODEL.replace("\nTASK", "\nAGGREGATORS = 'none'\nTASK"))
    (tmp_path / "x.csv").write_text(PLAIN)
    calls: list[list[dict[str, Any]]] = []

    def answered(command: list[str], *, input: str, **_: Any) -> subprocess.CompletedProcess[str]:
        asked = json.loads(input)["asked"]
        calls.append(asked)
        answers = [{"data": None, "model": "too small" if one["builds"] else None} for one in asked]
        return subprocess.CompletedProcess(command, 0, f"printed by a component\n{json.dumps(answers)}\n", "")

    monkeypatch.setattr(subprocess, "run", answered)
    every = states(tmp_path, "rows", "pictures")
    for _ in range(2):
        (line,) = tried.check(every, tmp_path, Cache(tmp_path / "cache.json"))
        assert line.startswith("plain: too small (tried on this machine's CPU") and line.endswith(
            "2 of 6 runs"
        )
    assert [len(asked) for asked in calls] == [
        3
    ]  # two models on the same rows, and one for both learning rates
    (tmp_path / "x.csv").write_text(PLAIN.replace("date", "day"))
    tried.check(states(tmp_path, "rows"), tmp_path, Cache(tmp_path / "cache.json"))
    assert [len(asked) for asked in calls] == [3, 2], "another content is read anew"


def test_data_that_cannot_be_read_end_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tried.check(states(tmp_path, "rows"), tmp_path, Cache(tmp_path / "cache.json")) == [], (
        "no file, no trial"
    )
    (tmp_path / "x.csv").write_text(PLAIN.replace(",", ";"))
    with pytest.raises(
        ConfigError, match=r"dataset.separator: ';' would part it"
    ) as caught:  # by the process itself
        tried.check(states(tmp_path, "rows"), tmp_path, Cache(tmp_path / "cache.json"))
    assert "\n" not in str(caught.value)


def test_what_is_absent_is_not_tried_and_a_trial_that_dies_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tried.check(states(tmp_path, "rows"), tmp_path, Cache(tmp_path / "cache.json")) == []
    (tmp_path / "x.csv").write_text(PLAIN)
    failed = subprocess.CompletedProcess([], 1, "", "Traceback\nModuleNotFoundError: No module named 'torch'")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(ConfigError, match=r"cannot try .*: ModuleNotFoundError: No module named 'torch'"):
        tried.check(states(tmp_path, "rows"), tmp_path, Cache(tmp_path / "other.json"))
