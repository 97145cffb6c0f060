"""A setting from its annotation and default, both still expressions of a syntax tree."""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace

from favit.components.bounds import BOUNDS, Bound
from favit.components.setting import Setting, Value
from favit.components.source import Source

_KINDS: dict[str, type] = {"int": int, "float": float, "str": str, "bool": bool}
_TYPING = ("typing", "typing_extensions")
_BOUNDS = "favit.components.bounds"
_NEUTRAL = "favit.components.neutral.Neutral"
_ALLOWED = (
    "write int, float, str, bool, Literal[...] of such values, or Annotated[...] of one of these with bounds"
)


@dataclass(frozen=True)
class Annotation:
    """The content of an annotation: type, bounds, choices, neutral value and documentation."""

    kind: type = str
    choices: tuple[Value, ...] = ()
    bounds: tuple[Bound, ...] = ()
    doc: str = ""
    neutral: Value | None = None


def setting(
    source: Source, where: ast.AST, name: str, annotation: ast.expr | None, default: ast.expr | None
) -> Setting | None:
    """The setting that an argument or a field declares; None for one that the model passes.

    Raises ``Unreadable`` for anything that is neither.
    """
    if annotation is None:
        raise source.error(where, f"the setting {name} has no annotation; {_ALLOWED}")
    if is_from_model(source, annotation):
        return None
    read = annotated(source, name, annotation)
    if default is None:
        raise source.error(where, f"the setting {name} has no default; give it one")
    try:
        return Setting(read.kind, _literal(default), read.bounds, read.choices, read.doc, read.neutral)
    except ValueError as error:
        raise source.error(where, f"the setting {name}: {error}") from None


def is_from_model(source: Source, node: ast.expr) -> bool:
    """Whether an annotation is marked with ``FromModel``, whatever its type is."""
    node = _unquoted(node)
    if not (isinstance(node, ast.Subscript) and _is_typing(source, node.value, "Annotated")):
        return False
    return any(_name_in_bounds(source, part) == "FromModel" for part in _parts(node)[1:])


def is_new(source: Source, node: ast.expr | None, choices_are_stated: bool) -> bool:
    """Whether an annotation says more than a type, such as bounds; choices only where nothing else states them."""
    if node is None:
        return False
    node = _unquoted(node)
    if isinstance(node, ast.Name) and node.id in source.assigned:
        node = source.assigned[node.id]
    if not isinstance(node, ast.Subscript):
        return False
    literal = _is_typing(source, node.value, "Literal") and not choices_are_stated
    return literal or (_is_typing(source, node.value, "Annotated") and not is_from_model(source, node))


def annotated(source: Source, name: str, node: ast.expr, seen: frozenset[str] = frozenset()) -> Annotation:
    """Read an annotation: types by name, aliases of the same file followed, quoted ones unquoted."""
    node = _unquoted(node)
    if isinstance(node, ast.Subscript) and _is_typing(source, node.value, "Annotated"):
        first, *further = _parts(node)
        read = annotated(source, name, first, seen)
        for part in further:
            read = _with_part(source, name, read, part)
        return read
    if isinstance(node, ast.Subscript) and _is_typing(source, node.value, "Literal"):
        return _literal_choices(source, name, node)
    if isinstance(node, ast.Name) and node.id in source.assigned and node.id not in seen:
        return annotated(source, name, source.assigned[node.id], seen | {node.id})
    meaning = source.meaning(node).removeprefix("builtins.")
    if meaning in _KINDS:
        return Annotation(kind=_KINDS[meaning])
    raise source.error(
        node, f"the annotation of the setting {name}, {ast.unparse(node)}, cannot be read; {_ALLOWED}"
    )


def _literal_choices(source: Source, name: str, node: ast.Subscript) -> Annotation:
    try:
        choices = tuple(_literal(part) for part in _parts(node))
    except ValueError as error:
        raise source.error(node, f"the choices of the setting {name}: {error}") from None
    kinds = {type(choice) for choice in choices}
    if len(kinds) != 1 or len(set(choices)) != len(choices):
        raise source.error(node, f"the choices of the setting {name} must be distinct and of one type")
    return Annotation(kind=kinds.pop(), choices=choices)


def _with_part(source: Source, name: str, read: Annotation, part: ast.expr) -> Annotation:
    """An annotation and one more thing that ``Annotated`` says: a bound, a neutral value, or documentation."""
    if isinstance(part, ast.Constant) and isinstance(part.value, str):
        return replace(read, doc=part.value)
    if isinstance(part, ast.Call) and source.meaning(part.func) == _NEUTRAL:
        try:
            return replace(read, neutral=_literal(_only_argument(part)))
        except ValueError as error:
            raise source.error(part, f"the neutral value of the setting {name}: {error}") from None
    kind = BOUNDS.get(_name_in_bounds(source, part))
    limits = _arguments(part)
    if kind is None or len(limits) != 1:
        raise source.error(
            part,
            f"the bound of the setting {name}, {ast.unparse(part)}, cannot be read; "
            f"write one of {', '.join(BOUNDS)} of {_BOUNDS} with a number, as in AtLeast(1)",
        )
    try:
        limit = _literal(limits[0])
    except ValueError as error:
        raise source.error(part, f"the bound of the setting {name}: {error}") from None
    if isinstance(limit, bool | str) or read.kind not in (int, float) or read.choices:
        raise source.error(part, f"the setting {name}: bounds are numbers, and only numbers have bounds")
    return replace(read, bounds=(*read.bounds, kind(limit)))


def _only_argument(call: ast.Call) -> ast.expr:
    """The one argument of ``Neutral``, by position or as ``value=``."""
    given = [*call.args, *(k.value for k in call.keywords if k.arg == "value")]
    if len(given) != 1 or len(call.args) + len(call.keywords) != 1:
        raise ValueError("write it out, as in Neutral(0)")
    return given[0]


def _arguments(call: ast.expr) -> list[ast.expr]:
    """The one argument of a bound, by position or as ``limit=``."""
    if not isinstance(call, ast.Call) or any(k.arg != "limit" for k in call.keywords):
        return []
    return [*call.args, *(k.value for k in call.keywords)]


def _name_in_bounds(source: Source, node: ast.expr) -> str:
    """``AtLeast`` for whatever stands for ``favit.components.bounds.AtLeast``, called or not."""
    meaning = source.meaning(node.func if isinstance(node, ast.Call) else node)
    module, _, name = meaning.rpartition(".")
    return name if module == _BOUNDS else ""


def _is_typing(source: Source, node: ast.expr, name: str) -> bool:
    return source.meaning(node) in {f"{module}.{name}" for module in _TYPING}


def _parts(node: ast.Subscript) -> list[ast.expr]:
    return node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]


def _unquoted(node: ast.expr) -> ast.expr:
    """An annotation in quotes is what stands within."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        try:
            inner = ast.parse(node.value.strip(), mode="eval").body
        except (SyntaxError, ValueError):
            return node
        for part in ast.walk(inner):
            if hasattr(part, "lineno"):
                part.lineno = node.lineno
        return inner
    return node


def _literal(node: ast.expr) -> Value:
    """The plain value that an expression writes out; ``ValueError`` for any other expression."""
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, MemoryError, RecursionError):
        value = None
    if type(value) not in (bool, int, float, str):
        raise ValueError(f"{ast.unparse(node)} cannot be read; write a literal number, text, True or False")
    return value
