# ruff: noqa: E501  (edits stand in one line, as they stand in their files)
"""Pairs of codes: which are proved equal, and each way in which equal numbers would prove nothing."""

from __future__ import annotations

import math
import shutil
from datetime import date, timedelta
from pathlib import Path

import pytest

from favit.identity import snapshot
from favit.identity.closure import ROOT, Reader
from favit.identity.fingerprint import Fingerprinter
from favit.proof.prove import Proof, Side, Unprovable, compare
from favit.sweeps.runs import Run, resolve
from tests.proof.conftest import SETTINGS

pytestmark = pytest.mark.slow

RUN = resolve(
    {
        "dataset": "csv",
        "model": "informer",
        "aggregator": "full",
        "encoding": "temporal",
        "seed": 0,
        **SETTINGS,
    }
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, and the code of today."""
    folder = tmp_path_factory.mktemp("compare")
    (folder / "data").mkdir()
    days = [str(date(2020, 1, 1) + timedelta(days=i)) for i in range(400)]
    rows = [f"{day},{math.sin(i / 3):.4f},{math.cos(i / 5):.4f}" for i, day in enumerate(days)]
    (folder / "data" / "own.csv").write_text("\n".join(["date,x,y", *rows]) + "\n")
    return folder


def side(root: Path, place: Path, run: Run = RUN) -> Side:
    """The snapshot of the code below a folder."""
    reader = Reader(root=root)
    fingerprinter = Fingerprinter(place / "data", reader=reader)
    program, code = fingerprinter.program(run), fingerprinter.code(run)
    return Side(snapshot.keep(program, code, place / "results", reader), run.settings)


def proof(place: Path, source: Path, *edits: tuple[str, str, str], run: Run = RUN) -> Proof:
    """What comes of comparing today's code with an edited one."""
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(ROOT / "favit", source / "favit", ignore=shutil.ignore_patterns("__pycache__"))
    old = side(source, place, run)
    for file, before, after in edits:
        path = source / "favit" / file
        text = path.read_text()
        assert before in text, before
        path.write_text(text.replace(before, after, 1))
    return compare(old, side(source, place, run), run.task, place / "data", "cpu")


HARMLESS = [
    ("train/learner.py", "        return loss.detach()", "        x = loss.detach()\n        return x"),
    # A condition that comes out both ways, a check that only refuses, a constant, and what these settings decide
    ("train/loop.py", "if state is None:\n            return", "if None is state:\n            return"),
    ("train/learner.py", "        if self._samplers:", '        if self is None:\n            raise ValueError("no")\n        if self._samplers:'),
    ("train/tasks/forecasting.py", '    unit = "windows"', '    unit = "win" "dows"'),
    ("train/schedule.py", 'if chosen.schedule == "constant":', 'if "constant" == chosen.schedule:'),
    ("train/loop.py", "from typing import Any\n", "import typing\nfrom typing import Any\n"),
    # What no run of it reaches
    ("train/ema.py", "def _tensors(", "def _unused() -> int:\n    return 1\n\n\ndef _tensors("),
]  # fmt: skip

# Changes after which all numbers of a probe are equal, and why that says nothing.
UNSEEN = [
    ("train/loop.py", "            loss = self.learner.step(", "            if batch.step > 100:\n                continue\n            loss = self.learner.step(", "one way only"),
    ("train/loop.py", "self.step = batch.step + 1", "self.step = batch.step + (2 if batch.step > 100 else 1)", "one way only"),
    ("train/loop.py", ">= patience", ">= patience + 1", "one way only"),
    ("train/seeds.py", "    torch.manual_seed(derive(seed, *where))", "    torch.manual_seed(derive(9 if seed == 7 else seed, *where))", "one way only"),
    ("train/learner.py", "        return loss.detach()", '        import os\n        return loss.detach() * float(os.environ.get("FACTOR", "1"))', "reads an environment variable"),
    ("train/evaluation.py", "        found.append(rows(batch).float())", "        found.append(rows(batch).float() * torch.get_num_threads())", "reads the number of threads"),
    ("train/ema.py", "self._decay = decay", "self._decay = decay / 2", "was not"),
    ("train/distributed.py", "return value[None]", "return value[None] + 0 if world.rank == 0 else value[None]", "one way only"),
]  # fmt: skip

HARMFUL = {
    "the schedule": ("train/schedule.py", "0.5 ** max", "0.6 ** max", "learning rates differs"),
    "the schedule, late": ("train/schedule.py", "max(epoch - 1, 0)", "max(epoch - 1 + epoch // 5, 0)", "learning rates differs"),
    "evaluation alone": ("train/tasks/forecasting.py", '"mae": mean(absolute[0])', '"mae": mean(absolute[0]) * 1.001', "differs"),
    "dropout's masks": ("train/learner.py", 'seeds.seed_forward(seed, "forward"', 'seeds.seed_forward(seed, "Forward"', "differs"),
    "resuming": ("train/loop.py", 'losses = state["losses"]', 'losses = state["losses"] * 1.5', "when gone on with"),
}  # fmt: skip


def test_what_changes_nothing_is_proved(place: Path, tmp_path: Path) -> None:
    found = proof(place, tmp_path / "source", *HARMLESS)
    assert found.equal and found.device == "cpu", found.reasons


def test_equal_numbers_prove_nothing_of_what_the_probe_did_not_see(place: Path, tmp_path: Path) -> None:
    found = proof(place, tmp_path / "source", *(edit[:3] for edit in UNSEEN))
    assert not any("differs" in reason for reason in found.reasons), found.reasons
    for file, *_, why in UNSEEN:
        assert any(reason.startswith(file) and why in reason for reason in found.reasons), (
            file,
            why,
            found.reasons,
        )


@pytest.mark.parametrize("name", HARMFUL)
def test_what_changes_a_number_is_not_proved(place: Path, tmp_path: Path, name: str) -> None:
    *edit, why = HARMFUL[name]
    found = proof(place, tmp_path / "source", (edit[0], edit[1], edit[2]))
    assert any(why in reason for reason in found.reasons), found.reasons


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (("train/learner.py", "        return loss.detach()", "        return undefined"), "today's code fails: NameError"),
        (("train/learner.py", ").sum()\n        self._scaler", ').sum() * float("nan")\n        self._scaler'), "ends with"),
        (("train/engine.py", "import torch", "import os; os._exit(3)\nimport torch"), "exit status 3"),
    ],
)  # fmt: skip
def test_what_does_not_come_to_its_end_proves_nothing(
    place: Path, tmp_path: Path, edit: tuple[str, str, str], why: str
) -> None:
    with pytest.raises(Unprovable, match=why):
        proof(place, tmp_path / "source", edit)


def test_not_a_number_on_both_sides_proves_nothing(place: Path, tmp_path: Path) -> None:
    run = resolve({**RUN.settings, "lr": 1e30})
    with pytest.raises(Unprovable, match="the result's code fails: "):
        proof(place, tmp_path / "source", HARMLESS[0], run=run)
