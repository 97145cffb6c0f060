"""Prepares torchvision once, and only if, it is imported: by timm, or by a model of one's own.

``_torchvision_cpu`` says what has to be prepared. Whoever writes a model need not know of it: a life of a run, and
every command, calls ``prepare_when_imported`` first. Nothing here changes a number, and no run's code reaches it.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType


def prepare_when_imported() -> None:
    """Have ``_torchvision_cpu`` imported right before torchvision is."""
    if "torchvision" not in sys.modules and not any(isinstance(f, _Finder) for f in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    """Prepares torchvision, then finds it where everyone finds it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "torchvision":
            return None
        sys.meta_path.remove(self)
        from favit.models import _torchvision_cpu  # torch, for those who need it

        assert _torchvision_cpu
        return importlib.util.find_spec("torchvision")
