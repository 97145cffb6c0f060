"""The module of ``favit/train/optimizers/`` that makes an optimizer; torch's own need none. Free of torch."""

from __future__ import annotations

OF_TORCH = ("adam", "adamw")


def module_of(name: str) -> str | None:
    """The module's name, ``None`` for Adam and AdamW."""
    return None if name in OF_TORCH else "of_timm"
