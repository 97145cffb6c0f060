"""Makes image models known to timm once, and only if, timm is imported."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType

from favit.components import registry

_IMAGE_MODELS = "favit"  # the module that registers them; absent from the code of a run that does not need it


def when_timm_is_imported() -> None:
    """Register now if timm is imported already, else right after its import."""
    if _IMAGE_MODELS not in registry.names("models"):
        return
    if "timm" in sys.modules:
        _register()
    else:
        sys.meta_path.insert(0, _TimmFinder())


def _register() -> None:
    registry.load("models", _IMAGE_MODELS)


class _TimmFinder(importlib.abc.MetaPathFinder):
    """Finds timm where everyone finds it, and has its loader register our models afterwards."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "timm":
            return None
        sys.meta_path.remove(self)
        importlib.import_module("favit.models._torchvision_cpu")  # timm imports torchvision
        spec = importlib.util.find_spec("timm")
        if spec is not None and spec.loader is not None:
            spec.loader = _ThenRegister(spec.loader)
        return spec


class _ThenRegister(importlib.abc.Loader):
    def __init__(self, loader: importlib.abc.Loader) -> None:
        self.loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # The module keeps its own loader, which also reads its data files.
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self.loader
        self.loader.exec_module(module)
        _register()
