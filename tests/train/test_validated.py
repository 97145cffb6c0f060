"""Images of which a part validates: which ones, what sees them, and that no other run's code knows of it."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from favit.components import registry
from favit.identity.fingerprint import ENGINE, VALIDATED, Fingerprinter, named
from favit.identity.settings import settings_digest
from favit.sweeps.resolve import resolve
from favit.train.distributed import World
from favit.train.life import process
from favit.train.tasks import classification, validated
from tests.train.runs import envelope

CPU = torch.device("cpu")
SHARE = 0.25


def run_of(**changes: Any) -> dict[str, Any]:
    return envelope("classification", **{"validation_split": SHARE, **changes})["run"]


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_a_share_of_each_class_is_held_back_and_nothing_else_decides_which(share: float) -> None:
    labels = torch.tensor([2] * 40 + [0] * 23 + [1] * 2)[torch.randperm(65, generator=torch.manual_seed(0))]
    trained, held_back = validated.split(labels, share)
    assert sorted([*trained.tolist(), *held_back.tolist()]) == list(range(65))
    counts = [int((labels[held_back] == label).sum()) for label in (0, 1, 2)]
    assert counts == [round(share * 23), 1, round(share * 40)]
    torch.manual_seed(1)
    assert torch.equal(validated.split(labels, share)[1], held_back)


def test_a_class_of_one_image_cannot_be_split() -> None:
    with pytest.raises(ValueError, match="class 1 has one training image"):
        validated.split(torch.tensor([0, 0, 1]), 0.1)


def test_all_arms_and_seeds_validate_on_the_same_images_which_none_is_trained_on() -> None:
    tasks = [
        validated.Task(run_of(**change), Path("data"), CPU, World())
        for change in ({"seed": 0}, {"seed": 5, "aggregator": "max_pool", "lr": 1e-4})
    ]
    assert torch.equal(tasks[0]._validated, tasks[1]._validated)
    seen = {
        i
        for t in tasks
        for e in range(3)
        for b in t.order.epoch(e, 0, World(), CPU)
        for i in t._trained[b.indices].tolist()
    }
    assert seen and not seen & set(tasks[0]._validated.tolist())


def test_validation_scores_are_those_of_the_plain_task_tested_on_these_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = run_of()
    task = validated.Task(run, Path("data"), CPU, World())
    task.model.eval()
    found, final = task.evaluate(task.model, lambda: None), task.finish(task.model, lambda: None)
    module = registry.load("data", "digits")
    data = module.load(Path("data"), run).limited(run["limit_train"], run["limit_test"])
    _, held_back = validated.split(data.train_labels, SHARE)
    swapped = replace(
        data, test_images=data.train_images[held_back], test_labels=data.train_labels[held_back]
    )
    monkeypatch.setattr(module, "load", lambda *_: data)
    tested = classification.Task(run, Path("data"), CPU, World())
    assert final.metrics == tested.evaluate(task.model, lambda: None)
    monkeypatch.setattr(module, "load", lambda *_: swapped)
    by_hand = classification.Task({**run, "limit_train": 0, "limit_test": 0}, Path("data"), CPU, World())
    assert found == by_hand.evaluate(task.model, lambda: None)
    assert final.extra["validation"] == {**found, "examples": len(held_back)}


def test_an_official_part_is_taken_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of(limit_test=0)
    digits = registry.load("data", "digits")
    data = digits.load(Path("data"), run)
    part = data.test_images[:30], data.test_labels[:30]

    class Official(type(data)):  # type: ignore[misc]
        validation = part

    official = Official(**{name: getattr(data, name) for name in data.__dataclass_fields__})
    monkeypatch.setattr(digits, "load", lambda *_: official)
    task = validated.Task(run, Path("data"), CPU, World())
    assert task.train_examples == run["limit_train"]
    assert len(task._validated) == 30
    task.model.eval()
    task.test_examples = 30  # the first of the test are the official part: their scores are known
    assert task.evaluate(task.model, lambda: None) == classification.Task.evaluate(
        task, task.model, lambda: None
    )


def test_history_and_result_carry_the_scores_and_the_test_labels_change_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = []
    digits = registry.load("data", "digits")
    plain = digits.load
    for replaced in (False, True):
        if replaced:
            monkeypatch.setattr(
                digits, "load", lambda *a: replace(plain(*a), test_labels=plain(*a).test_labels.roll(7))
            )
        folder = tmp_path / str(replaced)
        run = envelope("classification", validation_split=SHARE, epochs=2)
        (tmp_path / "run.json").write_text(json.dumps(run))
        arguments = ["--run", tmp_path / "run.json", "--out", folder, "--device", "cpu", "--threads", "1"]
        assert process.main(list(map(str, arguments))) == 0
        with (folder / "history.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert not [key for key in rows[0] if key.startswith("test_")]
        result = json.loads((folder / "metrics.json").read_text())
        assert result["best"]["selected_on"] == "validation"
        assert result["validation"]["top1"] == pytest.approx(float(rows[-1]["validation_top1"]))
        assert result["train_examples"] + result["validation"]["examples"] == run["run"]["limit_train"]
        scores.append([result["validation"], result["metrics"]])
    assert scores[0][0] == scores[1][0]
    assert scores[0][1] != scores[1][1]


PLAIN = {"dataset": "digits", "model": "favit_b0", "aggregator": "max_pool", "encoding": "none", "seed": 0}


def test_without_a_part_a_run_is_what_it_was() -> None:
    """Neither its settings nor its code know of the setting."""
    run, other = resolve(PLAIN), resolve({**PLAIN, "validation_split": 0.1})
    before = {key: value for key, value in run.settings.items() if key != "validation_split"}
    assert settings_digest(run.settings) == settings_digest(before) != settings_digest(other.settings)
    code = Fingerprinter(Path("data")).code(run)
    assert code.roots[0] == ENGINE
    assert not [name for name in code.loaded if "validated" in name]
    assert "Validation" not in code.definitions().get("favit.train.settings", {})
    assert [VALIDATED, *named(other)] == list(Fingerprinter(Path("data")).code(other).roots)


def test_the_share_is_bounded_and_is_for_images() -> None:
    with pytest.raises(ValueError, match="validation_split"):
        resolve({**PLAIN, "validation_split": 0.9})
    series = {"dataset": "etth1", "model": "informer", "aggregator": "full", "encoding": "none", "seed": 0}
    with pytest.raises(ValueError, match="validation_split"):
        resolve({**series, "validation_split": 0.1})


def test_predictions_are_of_the_test_images() -> None:
    task = validated.Task(run_of(), Path("data"), CPU, World())
    task.model.eval()
    final = task.finish(task.model, lambda: None)
    np.testing.assert_array_equal(final.predictions["labels"], task._test_feed.test_labels.numpy())
