"""Recipes that are named for a source against that source: its rates at every epoch, its transforms, its order.

``published_rates.json`` was made by running the published functions themselves: ``main.py`` of
q2479036243/FaViT with timm 0.3.2's scheduler and its loop, on 8 processes and on one; the lambda of
``favit_cifar.py`` of Padmaprabhan2004/FaViT-ProbSparseAttention in torch's ``LambdaLR``; ``utils/tools.py`` of
zhouhaoyi/Informer2020.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import Tensor

from favit.components.statistics import STATISTICS, statistics
from favit.identity.closure import ROOT
from favit.models import _torchvision_cpu as torchvision_cpu  # noqa: F401  (before torchvision)
from favit.sweeps.config import load
from favit.sweeps.runs import resolve, runs
from favit.train import schedule
from favit.train.augment import pipeline
from favit.train.augment.pipeline import Augmentation, Standard, prepare
from favit.train.settings import Images, Optimisation, parse

from timm.data import create_transform  # isort: skip
from timm.data.random_erasing import RandomErasing  # isort: skip
from torchvision import transforms  # isort: skip

RATES = json.loads(Path(__file__).with_name("published_rates.json").read_text())
RECIPES = yaml.safe_load((ROOT / "config.yaml").read_text())["recipes"]
CPU = torch.device("cpu")
OF_FAVIT = ["study", "study-report", "favit-code"]  # which take FaViT's transforms


def of(recipe: str, kind: Any = Optimisation, **changes: Any) -> Any:
    """What a run of a recipe hands to training."""
    series = recipe == "informer"
    axes = {"dataset": "etth1", "model": "informer", "aggregator": "full", "encoding": "none"}
    if not series:
        axes = {"dataset": "cifar100", "model": "favit_b0", "aggregator": "max_pool", "encoding": "none"}
    settings = {k: v for k, v in RECIPES[recipe].items() if k not in ("note", "published")}
    return parse(kind, resolve({**axes, "seed": 0, **changes}, settings).settings)


@pytest.mark.parametrize(
    ("recipe", "changes"),
    [("favit-code", {}), ("favit-code", {"batch_size": 128}), ("study-script", {}), ("informer", {})],
)
def test_rates_are_the_source_s_at_every_epoch(recipe: str, changes: dict[str, Any]) -> None:
    chosen = of(recipe, **changes)
    theirs = RATES[f"{recipe} at 128" if changes else recipe]
    ours = [schedule.learning_rate(chosen, epoch) for epoch in range(len(theirs))]
    assert ours == pytest.approx(theirs, rel=1e-12, abs=1e-19)
    assert len(theirs) >= chosen.epochs


@pytest.mark.parametrize(("recipe", "highest"), [("study", 1e-4), ("study-report", 1e-3)])
def test_the_study_s_rate_rises_for_ten_epochs_and_rests_for_the_last_ten(
    recipe: str, highest: float
) -> None:
    chosen = of(recipe)
    rates = [schedule.learning_rate(chosen, epoch) for epoch in range(300)]
    assert max(rates) == rates[10] == highest and rates[0] == 1e-6
    assert np.allclose(np.diff(rates[:11]), (highest - 1e-6) / 10) and set(rates[290:]) == {1e-5}
    assert (np.diff(rates[10:291]) < 0).all()


def test_the_three_rates_stand_beside_each_other() -> None:
    config = load(ROOT / "config.yaml")
    assert {run["lr"] for run in runs(config, "cifar100-rates")} == {1e-4, 1.25e-4, 1e-3}
    scaled = of("favit-code", batch_size=128)
    assert scaled.lr * scaled.batch_size / scaled.lr_batch == pytest.approx(1.25e-4) == 5e-4 * 128 / 512
    assert config.sweeps["cifar100-aggregators"].recipe.name == "study"
    assert config.sweeps["cifar100-study-script"].recipe.name == "study-script"


def test_no_shipped_sweep_takes_a_recipe_that_is_not_its_source_s() -> None:
    taken = {sweep.recipe.name: sweep.recipe for sweep in load(ROOT / "config.yaml").sweeps.values()}
    assert not {"favit", "seed"} & set(taken) and not any(recipe.note for recipe in taken.values())
    assert "favit-code" in RECIPES["favit"]["note"] and "study-script" in RECIPES["seed"]["note"]


@pytest.mark.parametrize(("recipe", "before"), [
    ("favit", {"lr": 0.001, "interpolation": "bicubic", "randaugment": "m9-mstd0.5-inc1", "color_jitter": 0.0,
               "erasing": 0.25, "mixup": 0.8, "cutmix": 1.0, "label_smoothing": 0.1, "drop_path": 0.1,
               "channels_last": False}),
    ("seed", {"lr": 0.001, "interpolation": "bilinear", "drop_path": 0.0}),
])  # fmt: skip
def test_recipes_that_people_have_stay_what_they_were(recipe: str, before: dict[str, Any]) -> None:
    common = {"optimizer": "adamw", "weight_decay": 0.05, "schedule": "warmup_cosine", "warmup_epochs": 10,
              "cooldown_epochs": 10, "min_lr": 0.00001, "epochs": 300, "batch_size": 128, "image_size": 224,
              "crop_scale_min": 0.08, "flip": 0.5, "precision": "bfloat16", "tf32": True}  # fmt: skip
    words = ("note", "published")
    assert {k: v for k, v in RECIPES[recipe].items() if k not in words} == {**common, **before}


def of_favit(chosen: Images) -> list[Any]:
    """What ``create_transform`` makes of the arguments of FaViT's ``datasets.py``, as a list."""
    made = create_transform(
        input_size=224, is_training=True, color_jitter=0.4, auto_augment="rand-m9-mstd0.5-inc1",
        interpolation="bicubic", re_prob=0.25, re_mode="pixel", re_count=1,
    )  # fmt: skip
    return list(made.transforms)


@pytest.mark.parametrize("recipe", OF_FAVIT)
def test_training_transforms_are_those_of_favit_s_program(recipe: str) -> None:
    chosen: Images = of(recipe, Images)
    theirs = of_favit(chosen)
    crop, flip, augment, _, normalise, erase = theirs  # the order, too: see the next test
    kinds = ["RandomResizedCropAndInterpolation", "RandomHorizontalFlip", "RandAugment", "MaybeToTensor"]
    assert [type(t).__name__ for t in theirs] == [*kinds, "Normalize", "RandomErasing"]
    assert crop.size == (chosen.image_size,) * 2 and crop.scale == (chosen.crop_scale_min, 1.0)
    assert crop.interpolation.value == chosen.interpolation and crop.ratio == (3 / 4, 4 / 3)
    assert flip.p == chosen.flip
    level, amount = (augment.ops[0].magnitude, augment.ops[0].magnitude_std)
    assert chosen.randaugment == f"m{level}-mstd{amount}-inc1" and chosen.color_jitter == 0
    mean, std = STATISTICS[chosen.normalise]
    assert normalise.mean.tolist() == pytest.approx(mean) and normalise.std.tolist() == pytest.approx(std)
    assert isinstance(erase, RandomErasing) and erase.probability == chosen.erasing
    assert augment.ops[0].aug_fn.__name__ and augment.ops[0].hparams["img_mean"] == tuple(
        round(255 * m) for m in mean
    )


def test_the_order_of_training_transforms(monkeypatch: pytest.MonkeyPatch) -> None:
    """As asserted of FaViT's program above; mixing comes last there, on the batch."""
    called: list[str] = []

    def noted(owner: Any, name: str, as_name: str) -> None:
        original = getattr(owner, name)

        def call(*arguments: Any, **named: Any) -> Any:
            called.append(as_name)
            return original(*arguments, **named)

        monkeypatch.setattr(owner, name, call)

    noted(pipeline, "crop_resize", "crop and mirror")
    noted(pipeline.randaugment, "apply", "randaugment")
    noted(pipeline.Standard, "apply", "normalise")
    noted(pipeline, "erase", "erase")
    noted(pipeline.mix.Mix, "images", "mix")
    mean, std = STATISTICS["imagenet"]
    augmentation = Augmentation(of("favit-code", Images, image_size=32), 0, mean, std, 100, CPU)
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    augmentation(images, torch.tensor([1, 2, 3, 4]), (0, 0, 0))
    assert called == ["crop and mirror", "randaugment", "normalise", "erase", "mix"]


def test_whose_statistics() -> None:
    own = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    assert statistics("dataset", own) == own and statistics("half", own) == ((0.5,) * 3, (0.5,) * 3)


def photographs(n: int = 5) -> Tensor:
    """Smooth images of CIFAR's size (n, 3, 32, 32) uint8: noise would overshoot where the filters are bicubic."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:32, 0:32] / 32
    waves = [[np.sin(a * x + b * y + c) for a, b, c in rng.uniform(1, 9, (3, 3))] for _ in range(n)]
    return torch.from_numpy((128 + 90 * np.array(waves)).round().astype(np.uint8))


def as_picture(image: Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).numpy())


PUBLISHED_TESTS = {
    "favit-code": [
        transforms.Resize(int((256 / 224) * 224), interpolation=transforms.InterpolationMode.BICUBIC),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ],
    "study-script": [
        transforms.Resize((224, 224)),
        transforms.ToTensor(),
        transforms.Normalize((0.5,), (0.5,)),
    ],
}


@pytest.mark.parametrize("recipe", [*OF_FAVIT, "study-script"])
def test_images_are_scored_as_the_source_scores_them(recipe: str) -> None:
    chosen: Images = of(recipe, Images)
    standard = Standard(*STATISTICS[chosen.normalise], CPU)
    images = photographs()
    ours = prepare(images, chosen.image_size, chosen.interpolation, standard, chosen.test_crop)
    published = transforms.Compose(PUBLISHED_TESTS[recipe if recipe == "study-script" else "favit-code"])
    theirs = torch.stack([published(as_picture(image)) for image in images])
    level = 1 / (255 * min(STATISTICS[chosen.normalise][1]))  # what one of 256 levels is after normalising
    assert ours.shape == theirs.shape == (5, 3, 224, 224)
    assert (ours - theirs).abs().max() < 1.01 * level and (ours - theirs).abs().mean() < 0.02 * level


def test_the_script_trains_on_crops_mirrored_or_not_and_nothing_else() -> None:
    """Each image is one of torchvision's crops with the script's arguments, resized by Pillow, mirrored or not."""
    chosen: Images = of("study-script", Images)
    random = {"randaugment", "erasing", "mixup", "cutmix", "color_jitter", "label_smoothing", "drop_path"}
    assert not any(value for name, value in asdict(chosen).items() if name in random)
    mean, std = STATISTICS["half"]
    augmentation = Augmentation(chosen, 0, mean, std, 100, CPU)
    images, labels = photographs(), torch.arange(5)
    ours, targets = augmentation(images, labels, (0, 0, 0))
    assert torch.equal(targets, torch.eye(100)[labels])
    drawn = augmentation._draw(5, 32, 32, pipeline.seeds.generator(0, "augment", 0, 0, 0))
    theirs = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
    resized = transforms.functional.resized_crop
    for image, found, box, mirrored in zip(images, ours, drawn.boxes.int().tolist(), drawn.flip, strict=True):
        expected = theirs(resized(as_picture(image), *box, [224, 224]))
        difference = (found - (expected.flip(2) if mirrored else expected)).abs()
        assert difference.max() < 2.01 / 127.5 and difference.mean() < 0.03 / 127.5
    published = transforms.RandomResizedCrop(224, scale=(0.08, 1.0))
    assert (
        published.interpolation.value == chosen.interpolation
        and transforms.RandomHorizontalFlip().p == chosen.flip
    )
    assert published.scale == (chosen.crop_scale_min, 1.0) and published.ratio == (3 / 4, 4 / 3)
