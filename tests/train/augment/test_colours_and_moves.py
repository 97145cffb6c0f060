"""Each transform against timm's and Pillow's of one image, and what is drawn against what timm draws."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from torch import Tensor

from favit.models import _torchvision_cpu as torchvision_cpu  # noqa: F401  (before timm)
from favit.train.augment import colour, geometry, jitter, randaugment

from timm.data import auto_augment as theirs  # isort: skip

FILL = (124, 116, 104)


def pictures(n: int = 6, side: int = 41) -> Tensor:
    """Smooth shapes with some noise; the last two of one colour and of two: (n, 3, side, side) float32."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:side, 0:side] / side
    waves = [np.stack([np.sin(a * x + b * y + c) for a, b, c in rng.uniform(1, 9, (3, 3))]) for _ in range(n)]
    images = np.clip(128 + 90 * np.array(waves) + rng.normal(0, 12, (n, 3, side, side)), 0, 255).round()
    images[-1] = 77
    images[-2] = np.where(x > 0.3, 200, 90)
    return torch.from_numpy(images.astype(np.float32))


def as_picture(image: Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).byte().numpy())


def as_tensor(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float()


COLOURS: list[tuple[Callable, Callable, list[float]]] = [
    (colour.auto_contrast, lambda p, _: theirs.auto_contrast(p), [0]),
    (colour.equalize, lambda p, _: theirs.equalize(p), [0]),
    (colour.invert, lambda p, _: theirs.invert(p), [0]),
    (colour.posterize, lambda p, a: theirs.posterize(p, int(a)), [1, 2, 3, 4, 8]),
    (colour.solarize, lambda p, a: theirs.solarize(p, int(a)), [0, 26, 128, 255, 256]),
    (colour.solarize_add, lambda p, a: theirs.solarize_add(p, int(a)), [0, 33, 99, 110, 128]),
    (colour.brightness, theirs.brightness, [0.1, 0.37, 1.0, 1.41, 1.9]),
    (colour.contrast, theirs.contrast, [0.1, 0.37, 1.0, 1.41, 1.9]),
    (colour.saturation, theirs.color, [0.1, 0.37, 1.0, 1.41, 1.9]),
    (colour.sharpness, theirs.sharpness, [0.1, 0.37, 1.0, 1.41, 1.9]),
]


@pytest.mark.parametrize(("ours", "pillow", "arguments"), COLOURS, ids=[c[0].__name__ for c in COLOURS])
def test_colours_are_pillows(ours: Callable, pillow: Callable, arguments: list[float]) -> None:
    images = pictures()
    for argument in arguments:
        found = ours(images.clone(), torch.full((len(images),), float(argument)))
        expected = torch.stack([as_tensor(pillow(as_picture(x), argument)) for x in images])
        difference = (found - expected).abs()
        assert difference.max() <= 1, argument
        assert (difference > 0).float().mean() < 0.003, f"{argument}: float32 against Pillow's rounding"


def test_no_bit_is_black() -> None:
    """Which timm draws at the highest level; Pillow refuses it since version 12."""
    assert not colour.posterize(pictures(), torch.zeros(6)).any()


@pytest.mark.parametrize("channels", [(0, 255), (3, 4), (9, 9)])
def test_contrast_is_stretched_over_the_range_that_is_there(channels: tuple[int, int]) -> None:
    low, high = channels
    images = torch.linspace(low, high, 16).round().repeat(1, 3, 16, 1)
    expected = as_tensor(theirs.auto_contrast(as_picture(images[0])))
    assert torch.equal(colour.auto_contrast(images, torch.zeros(1))[0], expected)


def test_each_image_has_its_own_argument() -> None:
    images = pictures()[:2].repeat(2, 1, 1, 1)
    arguments = torch.tensor([0.5, 0.5, 1.5, 1.5])
    for change in (colour.brightness, colour.contrast, colour.saturation, colour.sharpness):
        together = change(images, arguments)
        apart = torch.cat([change(images[i : i + 1], arguments[i : i + 1]) for i in range(4)])
        assert torch.equal(together, apart)


MOVES: list[tuple[Callable, Callable, list[float]]] = [
    (geometry.shear_x, theirs.shear_x, [-0.3, 0.07, 0.27]),
    (geometry.shear_y, theirs.shear_y, [-0.3, 0.07, 0.27]),
    (geometry.translate_x, theirs.translate_x_rel, [-0.45, 0.13, 0.4]),
    (geometry.translate_y, theirs.translate_y_rel, [-0.45, 0.13, 0.4]),
    (geometry.rotate, theirs.rotate, [-30, 11, 27]),
]


@pytest.mark.parametrize(("matrix", "pillow", "arguments"), MOVES, ids=[m[0].__name__ for m in MOVES])
@pytest.mark.parametrize(
    ("interpolation", "most", "on_average"), [("bilinear", 1, 0.05), ("bicubic", 24, 1.2)]
)
def test_moves_are_pillows(
    matrix: Callable,
    pillow: Callable,
    arguments: list[float],
    interpolation: str,
    most: float,
    on_average: float,
) -> None:
    """Bilinear to the rounding; the two cubics differ (a = -0.75 and -1), which shows on noise."""
    images, resample = pictures(), {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}[interpolation]
    for argument in arguments:
        matrices = matrix(torch.full((len(images),), float(argument)), images.shape[-1]).float()
        found = geometry.transform(images, matrices, torch.tensor(FILL).float(), interpolation)
        moved = [pillow(as_picture(x), argument, fillcolor=FILL, resample=resample) for x in images]
        expected = torch.stack([as_tensor(picture) for picture in moved])
        # a pixel on the very edge may fall on either side of it
        inside = ((found == expected).all(1) | ((found - expected).abs().amax(1) < 60))[:, None].expand_as(
            found
        )
        assert inside.float().mean() > 0.99
        difference = (found - expected).abs()[inside]
        assert difference.max() <= most and difference.mean() < on_average, argument


def recorded(
    monkeypatch: pytest.MonkeyPatch, config: str, n: int
) -> list[list[tuple[str, tuple[float, ...]]]]:
    """What timm draws for ``n`` images: names and arguments of the transforms that it applies."""
    calls: list[tuple[str, tuple[float, ...]]] = []

    def record(name: str) -> Callable:
        return lambda picture, *arguments, **_: calls.append((name, arguments)) or picture

    for name in randaugment.NAMES:
        monkeypatch.setitem(theirs.NAME_TO_OP, name, record(name))
    transform = theirs.rand_augment_transform(f"rand-{config}", {"img_mean": FILL})
    random.seed(0), np.random.seed(0)
    found = []
    for _ in range(n):
        calls.clear()
        transform(None)
        found.append(list(calls))
    return found


@pytest.mark.parametrize("config", ["m9-mstd0.5-inc1", "m5-n3-p0.8-mstd2-inc1", "m12-mmax15-inc1"])
def test_what_is_drawn_is_what_timm_draws(monkeypatch: pytest.MonkeyPatch, config: str) -> None:
    n = 8000
    timms = recorded(monkeypatch, config, n)
    layers = randaugment.Policy.parse(config).draw(n, torch.Generator().manual_seed(0))
    mine: list[list[tuple[str, float]]] = [[] for _ in range(n)]
    for operation, argument in layers:
        for image, (k, a) in enumerate(zip(operation.tolist(), argument.tolist(), strict=True)):
            if k >= 0:
                mine[image].append((randaugment.NAMES[k], a))
    assert equally_frequent(Counter(map(len, mine)), Counter(map(len, timms)))
    assert equally_frequent(
        Counter(name for i in mine for name, _ in i), Counter(name for i in timms for name, _ in i)
    )
    for name in randaugment.NAMES:
        ours = [a for i in mine for k, a in i if k == name]
        other = [a for i in timms for k, arguments in i if k == name for a in arguments]
        if not other:
            assert set(ours) == {0.0}, f"{name} takes no argument"
        elif len(set(other)) < 12:
            assert equally_frequent(
                Counter(round(a, 9) for a in ours), Counter(round(a, 9) for a in other)
            ), name
        else:
            assert stats.ks_2samp(ours, other).pvalue > 1e-4, name


def equally_frequent(ours: Counter, other: Counter) -> bool:
    """Whether two counts are likely of one distribution (chi-square; classes that are rare on both sides together)."""
    keys = sorted({*ours, *other})
    table = np.array([[c[k] for k in keys] for c in (ours, other)])
    common = table.sum(0) >= 20
    table = np.column_stack([table[:, common], table[:, ~common].sum(1)])
    table = table[:, table.sum(0) > 0]
    return table.shape[1] == 1 or stats.chi2_contingency(table).pvalue > 1e-4


def test_images_get_what_was_drawn_for_them() -> None:
    """A batch at once against image by image, every transform occurring."""
    images = pictures(6).repeat(10, 1, 1, 1)
    drawn = randaugment.Policy.parse("m9-mstd0.5-p1-inc1").draw(60, torch.Generator().manual_seed(3))
    assert {k for operation, _ in drawn for k in operation.tolist()} == set(range(15))
    fill = torch.tensor(FILL).float()
    together = randaugment.apply(images.clone(), drawn, fill, "bilinear")
    apart = [
        randaugment.apply(
            images[i : i + 1].clone(), [(o[i : i + 1], a[i : i + 1]) for o, a in drawn], fill, "bilinear"
        )
        for i in range(60)
    ]
    torch.testing.assert_close(together, torch.cat(apart), rtol=0, atol=1)
    assert (together != torch.cat(apart)).float().mean() < 1e-4
    assert together.min() >= 0 and together.max() <= 255 and torch.equal(together, together.round())


@pytest.mark.parametrize("config", ["m9", "m9-inc0", "9-inc1", "m9-x1-inc1", "augmix-m5"])
def test_a_policy_that_is_not_there(config: str) -> None:
    with pytest.raises(ValueError, match="randaugment"):
        randaugment.Policy.parse(config)


def test_jitter_is_drawn_as_torchvisions() -> None:
    from torchvision.transforms import ColorJitter

    n = 5000
    order, factors = jitter.draw(n, 0.4, torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    draws = [ColorJitter.get_params((0.6, 1.4), (0.6, 1.4), (0.6, 1.4), None) for _ in range(n)]
    orders = Counter(tuple(k for k in d[0].tolist() if k < 3) for d in draws)
    assert equally_frequent(Counter(map(tuple, order.tolist())), orders)
    for k in range(3):
        assert stats.ks_2samp(factors[:, k].numpy(), [d[1 + k] for d in draws]).pvalue > 1e-4


def test_jitter_is_torchvisions() -> None:
    from torchvision.transforms import functional as tv

    images = pictures()
    order, factors = jitter.draw(len(images), 0.4, torch.Generator().manual_seed(1))
    found = jitter.apply(images.clone(), order, factors)
    changes = (tv.adjust_brightness, tv.adjust_contrast, tv.adjust_saturation)
    for i, image in enumerate(images):
        picture = as_picture(image)
        for k in order[i].tolist():
            picture = changes[k](picture, factors[i, k].item())
        assert (found[i] - as_tensor(picture)).abs().max() <= 2, "one of rounding, blended once or twice more"
