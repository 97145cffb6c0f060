"""The packages that training here uses, each with its version: what a fresh environment installs."""

from __future__ import annotations

import importlib.metadata
import platform
import re
from collections.abc import Iterable

# What code in snapshots imports, data sets that ship in packages included; what is not installed is left out.
ROOTS = (
    "torch", "timm", "torchvision", "numpy", "einops", "pandas", "scipy", "filelock", "jsonschema", "pooch", "pyyaml",
    "safetensors", "tqdm", "pillow", "scikit-learn", "vega-datasets", "array-record", "simplejpeg",
)  # fmt: skip

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def lock(roots: Iterable[str] = ROOTS) -> str:
    """``requirements.txt`` with these packages and all that they need, as far as they are installed, sorted.

    Local versions (``2.13.0+cpu``) are given without what follows the plus: package indexes hold them without.
    """
    found: dict[str, str] = {}
    waiting = list(roots)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        try:
            installed = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        found[name] = installed.version.partition("+")[0]
        needs = [need for need in installed.requires or () if "extra ==" not in need]
        waiting += [match.group() for need in needs if (match := _NAME.match(need))]
    head = f"# Python {platform.python_version()}, {platform.machine()}\n"
    return head + "".join(f"{name}=={version}\n" for name, version in sorted(found.items()))
