"""Names of data sets and models in print. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAMES: Mapping[str, str] = {
    "cifar100": "CIFAR-100",
    "imagenet1k": "ImageNet-1K",
    "digits": "Digits",
    "seattle_weather": "Seattle weather",
    "etth1": "ETTh1",
    "ettm1": "ETTm1",
    "informer": "Informer",
    "repeat_last": "Repeat last",
    "seasonal_naive": "Seasonal naive",
    "linear": "Linear",
    "nlinear": "NLinear",
    "dlinear": "DLinear",
}


def written(value: Any) -> str:
    """``favit_b0`` -> FaViT-B0; names not known are left as they are."""
    text = str(value)
    family, _, size = text.partition("_")
    return f"FaViT-{size.upper()}" if family == "favit" and size else NAMES.get(text, text)


def axis_written(axis: str, value: Any) -> str:
    """A value with its axis where it does not speak for itself: ``horizon 96``, but ``FaViT-B0``."""
    if axis in ("dataset", "model"):
        return written(value)
    return f"{axis.replace('_', ' ')} {value}"
