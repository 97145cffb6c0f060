"""Components looked up by name: one mechanism a file, the file's name its name in ``config.yaml``.

Nothing is imported until it is asked for, so that naming one aggregator never
loads (nor makes a result depend on) the code of another. Free of torch.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

_PACKAGE = Path(__file__).parents[1]

KINDS = ("aggregators", "attention", "encodings", "models", "data")


def names(kind: str) -> list[str]:
    """Sorted names of all components of a kind: the modules in ``favit/<kind>/`` that do not begin with ``_``."""
    assert kind in KINDS, kind
    found = (p.stem for p in (_PACKAGE / kind).glob("*.py"))
    return sorted(name for name in found if name.isidentifier() and not name.startswith("_"))


def load(kind: str, name: str) -> ModuleType:
    """Import the module of one component.

    Raises ``ValueError`` naming the valid names for an unknown one.
    """
    valid = names(kind)
    if name not in valid:
        raise ValueError(f"unknown {kind.rstrip('s')} '{name}'; valid: {', '.join(valid)}")
    return importlib.import_module(f"favit.{kind}.{name}")
