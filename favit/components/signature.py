"""The settings that a file declares: its constructor's keyword-only arguments, or the fields of a dataclass."""

from __future__ import annotations

import ast
from dataclasses import replace

from favit.components import annotation
from favit.components.setting import Setting
from favit.components.source import Source, statements

# The class that a mechanism's file defines, and what models pass to it, wherever it stands in the signature.
CLASSES = {"aggregators": "Aggregator", "attention": "Attention", "encodings": "Encoding"}
PASSED = {
    "aggregators": {"channels", "heads", "windows"},
    "attention": {"length", "causal", "dropout"},
    "encodings": {"dim", "length", "grid"},
}
DATACLASS = "Settings"


def from_constructor(source: Source, room: str) -> dict[str, Setting]:
    """The keyword-only arguments that the model does not pass, in their order.

    An inherited constructor is not followed: a class without one of its own has no settings.
    """
    found: dict[str, Setting] = {}
    for argument, default in keyword_arguments(source, room):
        setting = annotation.setting(source, argument, argument.arg, argument.annotation, default)
        if setting is not None:
            found[argument.arg] = setting
    return found


def keyword_arguments(source: Source, room: str) -> list[tuple[ast.arg, ast.expr | None]]:
    """Each keyword-only argument with its default, but for those that models of the house always pass."""
    init = _constructor(source, room)
    if init is None:
        return []
    pairs = zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)
    return [(argument, default) for argument, default in pairs if argument.arg not in PASSED[room]]


def _constructor(source: Source, room: str) -> ast.FunctionDef | None:
    name = CLASSES[room]
    node = source.definition(name)
    if node is None and not source.binds(name):
        raise ValueError(f"{source.file} has no class {name}; define it")
    if node is None:
        return None  # imported or assigned: inherited, as it were
    if not isinstance(node, ast.ClassDef):
        raise source.error(node, f"{name} must be a class, not a function")
    found = [n for n in statements(node) if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
    own = [n for n in found if n in node.body]
    if _is_dataclass(source, node) or any(_assigns_constructor(n) for n in node.body) or (found and not own):
        raise source.error(node, f"cannot read the constructor of {name}; write it as def __init__")
    return own[-1] if own else None


def _assigns_constructor(node: ast.stmt) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return any(isinstance(t, ast.Name) and t.id == "__init__" for t in targets)


def from_dataclass(source: Source, name: str = DATACLASS) -> dict[str, Setting]:
    """The fields of a dataclass, in their order, each with the text below it as its documentation."""
    node = source.definition(name)
    if node is None:
        return {}
    if not isinstance(node, ast.ClassDef) or not _is_dataclass(source, node):
        raise source.error(node, f"{name} declares settings, so it must be a dataclass")
    if node.bases:
        raise source.error(
            node, f"{name} must not have a base class: its fields are not read; declare all fields here"
        )
    found: dict[str, Setting] = {}
    for statement, following in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign) and _is_field(source, statement):
            field, setting = _field(source, statement)
            found[field] = replace(setting, doc=_text(following) or setting.doc)
        elif not isinstance(statement, ast.AnnAssign | ast.FunctionDef | ast.Expr | ast.Pass):
            raise source.error(statement, f"{name} may hold fields only; write name: type = default")
    return found


def _is_field(source: Source, node: ast.AnnAssign) -> bool:
    kind = node.annotation.value if isinstance(node.annotation, ast.Subscript) else node.annotation
    return source.meaning(kind) not in ("typing.ClassVar", "dataclasses.KW_ONLY")


def _field(source: Source, node: ast.AnnAssign) -> tuple[str, Setting]:
    """Name and setting of a field; ``field(default=...)`` is read like a plain default."""
    name, default = ast.unparse(node.target), node.value
    if isinstance(default, ast.Call) and source.meaning(default.func) == "dataclasses.field":
        stated = {k.arg: k.value for k in default.keywords}
        if default.args or not stated.keys() <= {"default", "repr", "compare", "hash", "kw_only", "metadata"}:
            raise source.error(node, f"the field {name} cannot be read; write field(default=...)")
        default = stated.get("default")
    setting = annotation.setting(source, node, name, node.annotation, default)
    if setting is None:
        raise source.error(
            node, f"the field {name} is marked FromModel, but declares a setting; remove one of the two"
        )
    return name, setting


def _text(node: ast.stmt | None) -> str:
    if (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ):
        return " ".join(node.value.value.split())
    return ""


def _is_dataclass(source: Source, node: ast.ClassDef) -> bool:
    calls = [d.func if isinstance(d, ast.Call) else d for d in node.decorator_list]
    return any(source.meaning(call) == "dataclasses.dataclass" for call in calls)
