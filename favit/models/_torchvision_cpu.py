"""Lets torchvision, and timm which imports it, load beside a CPU-only torch.

torchvision's wheels are built for CUDA. Where its compiled operators cannot be
loaded, its import fails with ``operator torchvision::nms does not exist``,
because it registers shape functions for two operators that are missing. Giving
these two their schemas is enough: data sets, transforms and models never call
them. Import this module before torchvision or timm; on a machine where
torchvision's own library loads, it does nothing.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch

_SCHEMAS = {
    name: f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor" for name in ("nms", "qnms")
}


def _library_loads() -> bool:
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return True  # nothing to mend: the import itself will say that it is missing
    folder = Path(spec.origin).parent
    for library in (*folder.glob("_C*.so"), *folder.glob("_C*.pyd")):
        try:
            torch.ops.load_library(str(library))
            return True
        except OSError:
            continue
    return False


def define_missing_operators() -> torch.library.Library | None:
    """Define the schemas of ``torchvision::nms`` and ``qnms`` where torchvision cannot; returns what holds them."""
    if torch.version.cuda is not None or _library_loads():
        return None
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name, schema in _SCHEMAS.items():
        if not hasattr(torch.ops.torchvision, name):
            library.define(schema)
    return library


_LIBRARY = define_missing_operators()  # lives as long as the process: deleting it would undo the definitions
