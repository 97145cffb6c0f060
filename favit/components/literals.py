"""What a module of ``favit`` declares as literals, read without importing it.

Components state their settings and facts at the top level of their files;
reading them from the syntax tree keeps the configuration free of torch, and
makes no result depend on code that it does not run.
"""

from __future__ import annotations

import ast
import functools
from pathlib import Path
from typing import Any

from favit.components import registry

_PACKAGE = Path(__file__).parents[1]


@functools.cache
def literals(*path: str) -> dict[str, Any]:
    """All top-level ``NAME = <literal>`` of ``favit/<path>.py``, for instance ``literals("train", "settings")``."""
    file = _PACKAGE.joinpath(*path).with_suffix(".py")
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise ValueError(f"{file}, line {error.lineno}: {error.msg}") from None
    found: dict[str, Any] = {}
    for node in tree.body:
        name, value = _assignment(node)
        if name is None or value is None:
            continue
        try:
            found[name] = ast.literal_eval(value)
        except ValueError:
            continue  # not a literal: not a declaration
    return found


def _assignment(node: ast.stmt) -> tuple[str | None, ast.expr | None]:
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id, node.value
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id, node.value
    return None, None


@functools.cache
def families() -> dict[str, str]:
    """Model name -> the file in ``favit/models`` that builds it (``favit_b0`` -> ``favit``)."""
    return {
        variant: family
        for family in registry.names("models")
        for variant in literals("models", family).get("VARIANTS", ())
    }


def task_of(dataset: str) -> str:
    """``classification`` or ``forecasting``."""
    return literals("data", dataset)["TASK"]
