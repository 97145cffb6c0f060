"""What a step may ask of a GPU, counted with the locked torch; ``docs/gpu.md`` quotes these numbers."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch

import favit.models  # noqa: F401  (makes the models known to timm)
from favit.train.augment.pipeline import Augmentation
from favit.train.settings import Images
from tests.simulated_gpu.cases import Steps, images, report
from tests.simulated_gpu.gpu import CUDA, simulated_gpu
from tests.simulated_gpu.tensor import Record

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
CROP: dict[str, Any] = {"image_size": 48, "crop_scale_min": 0.08, "flip": 0.5}
MIXED: dict[str, Any] = {"erasing": 0.25, "mixup": 0.8, "cutmix": 1.0, "label_smoothing": 0.1}
RECIPES = {
    "favit": (Images(**CROP, **MIXED, randaugment="m9-mstd0.5-inc1"), 100),
    "jitter": (Images(**CROP, **MIXED, color_jitter=0.4), 75),
    "seed": (Images(**CROP, interpolation="bilinear"), 20),
    "without a crop": (Images(**{**CROP, "crop_scale_min": 1.0}, **MIXED, randaugment="m9-inc1"), 100),
}


@pytest.mark.parametrize("name", RECIPES)
def test_augmentation_takes_few_launches_and_one_copy(name: str) -> None:
    """Of 128 images, so that every transform occurs; two steps, for what is drawn decides a little."""
    chosen, budget = RECIPES[name]
    source = torch.randint(0, 256, (128, 3, 16, 16), dtype=torch.uint8)
    with simulated_gpu() as gpu:
        augment = Augmentation(chosen, 0, MEAN, STD, 10, CUDA)
        x, y = source.to(CUDA), (torch.arange(128) % 10).to(CUDA)
        augment(x, y, (0, 0, 0))  # makes what it keeps
        for step in (1, 2):
            with gpu.recorded() as found:
                augment(x, y, (0, step, 0))
            report(f"augmentation, {name}", step=found)
            assert found.launches.total() <= budget
            assert found.copies <= 2
            assert not found.faults


@pytest.mark.slow
@pytest.mark.usefixtures("small_favit")
def test_the_size_of_a_batch_does_not_show_in_the_launches() -> None:
    found = []
    for size in (4, 6):
        with simulated_gpu() as gpu:
            steps = Steps(images(aggregator="probsparse", batch_size=size))
            epoch, batch, examples = steps.next()
            with gpu.recorded() as record:
                steps.learner.step(batch, examples, epoch)
            found.append(record.launches.total())
    assert found[0] == found[1]


# Launches and bytes beside max_pool's, of forward and backward at 224 pixels
SELECTIONS = {"probsparse": (1.15, 1.1), "top_norm": (1.21, 1.03), "random": (1.03, 1.0)}


def test_probsparse_asks_for_little_more_than_a_pool() -> None:
    beside_a_pool("favit_b0", ["probsparse"])


@pytest.mark.slow
def test_a_selection_asks_for_little_more_than_a_pool() -> None:
    beside_a_pool("favit_b0", list(SELECTIONS))


@pytest.mark.slow
@pytest.mark.parametrize(("model", "precision"), [("favit_b0", torch.bfloat16), ("favit_b2", torch.float32)])
def test_so_does_probsparse_in_half_precision_and_a_larger_model(model: str, precision: torch.dtype) -> None:
    beside_a_pool(model, ["probsparse"], precision)


def beside_a_pool(model: str, aggregators: list[str], precision: torch.dtype = torch.float32) -> None:
    """Assert that these stay within their budgets."""
    pool = forward_and_backward(model, "max_pool", precision)
    for name in aggregators:
        launches, traffic = SELECTIONS[name]
        found = forward_and_backward(model, name, precision)
        report(f"{model} {name} beside {pool.launches.total()} launches", step=found)
        assert found.launches.total() <= launches * pool.launches.total(), name
        assert found.bytes <= traffic * pool.bytes, name


def forward_and_backward(name: str, aggregator: str, precision: torch.dtype) -> Record:
    """Of FaViT for one image of 224 pixels."""
    with simulated_gpu() as gpu:
        model = timm.create_model(name, aggregator=aggregator, num_classes=10).to(CUDA).train()
        image = torch.randn(1, 3, 224, 224).to(CUDA)
        with gpu.recorded() as found:
            with torch.autocast("cuda", precision, enabled=precision != torch.float32):
                scores = model(image)
            scores.sum().backward()
    assert not found.faults
    return found
