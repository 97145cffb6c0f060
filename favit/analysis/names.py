"""How data sets, models and an analysis are written in print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Of the analysis of what trained models make of their aggregators, in its files and in the report.
AGGREGATOR_USE = "aggregator-use"
AS_TRAINED, SHUFFLED = "as trained", "shuffled"

NAMES: Mapping[str, str] = {
    "cifar100": "CIFAR-100",
    "imagenet1k": "ImageNet-1K",
    "digits": "Digits",
    "seattle_weather": "Seattle weather",
    "etth1": "ETTh1",
    "ettm1": "ETTm1",
    "informer": "Informer",
}


def written(value: Any) -> str:
    """``favit_b0`` -> FaViT-B0; names not known are left as they are."""
    text = str(value)
    family, _, size = text.partition("_")
    return f"FaViT-{size.upper()}" if family == "favit" and size else NAMES.get(text, text)


def group_title(group: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]) -> str:
    """Heading of a block: what sets it apart from the other blocks; empty where it is the only one."""
    varying = [name for name in group if len({str(other.get(name)) for other in groups}) > 1]
    parts = [
        written(group[name]) if name in ("dataset", "model") else f"{name.replace('_', ' ')} {group[name]}"
        for name in varying
    ]
    text = ", ".join(parts)
    return text[:1].upper() + text[1:]
