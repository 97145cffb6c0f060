"""Stored images of which a part validates: read as test images are, and never trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from favit.data import _stored
from favit.train.distributed import World
from favit.train.feeds.stored import Feed
from favit.train.settings import Images, parse
from favit.train.tasks import validated
from tests.imagenet.test_feed import CPU, run_of


def test_stored_images_validate_in_the_form_of_the_test(data: Path) -> None:
    run = run_of(validation_split=0.3)
    task = validated.Task(run, data, CPU, World())
    stored = _stored.load(data / "miniature", 4)
    trained, held_back = validated.split(stored.train.labels, 0.3)
    assert torch.equal(task._validated, held_back) and task.train_examples == len(trained)
    as_test = Feed(replace(stored, test=stored.train), parse(Images, run), 0, CPU, World(), 0)
    ((expected, labels),) = as_test.test([held_back])
    chosen = validated._Chosen(task._validation_feed, task._validated)
    ((found, its_labels),) = chosen.test([torch.arange(len(held_back))])
    assert torch.equal(found, expected) and torch.equal(its_labels, labels)
    assert torch.equal(labels, stored.train.labels[held_back])
    seen = [
        i for batch in task.order.epoch(0, 0, World(), CPU) for i in task._trained[batch.indices].tolist()
    ]
    assert seen and not set(seen) & set(held_back.tolist())
    task.model.eval()
    assert 0 <= task.evaluate(task.model, lambda: None)["top1"] <= 100
