"""Any image model of the installed timm, untrained: ``model: timm/pvt_v2_b0`` in ``config.yaml``.

Its code is timm's, which no digest covers: its runs count timm's exact version.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import favit.models._torchvision_cpu  # noqa: F401  (before timm, which imports torchvision)

# isort: split

import timm
from torch import nn

TASK = "classification"
AGGREGATORS = "none"
VARIANTS = ()
PREFIX = "timm-"
VERSIONS = {"timm": "exact"}


def build(run: Mapping[str, Any], facts: Mapping[str, Any]) -> nn.Module:
    """The model of a run, from its keys ``model``, ``image_size`` and ``drop_path``. ``ValueError`` from ``create``."""
    name = run["model"].removeprefix(PREFIX)
    return create(name, facts["classes"], facts["channels"], run["image_size"], run["drop_path"])[0]


def create(
    name: str, classes: int, channels: int, image_size: int, drop_path: float
) -> tuple[nn.Module, list[str]]:
    """timm's model, and which of ``img_size`` and ``drop_path_rate`` it does not take.

    ``image_size`` is in pixels a side; convolutional models that take any have no word for it. Raises ``ValueError``
    for whatever timm cannot build.
    """
    given: dict[str, Any] = {"img_size": image_size, "drop_path_rate": drop_path}
    refused: list[str] = []
    while True:
        try:
            model = timm.create_model(name, pretrained=False, num_classes=classes, in_chans=channels, **given)
            return model, refused
        except TypeError as error:
            named = [key for key in given if f"argument '{key}'" in str(error)]
            if not named:
                raise ValueError(f"timm cannot build {name}: {error}") from error
            refused += named
            given = {key: value for key, value in given.items() if key not in named}
        except Exception as error:
            raise ValueError(f"timm cannot build {name}: {type(error).__name__}: {error}") from error
