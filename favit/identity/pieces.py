"""Pieces of canonical text and the names in them; what they are says ``favit.identity.canonical``."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection
from typing import Any

from favit.identity.closure import without_effect
from favit.identity.scopes import Scope
from favit.identity.syntax import SKIPPED

Piece = Any  # str | list[...]
Pieces = list[Piece]

# What a module knows of itself.
_OF_MODULE = ("__name__", "__file__", "__package__", "__spec__", "__path__", "__loader__", "__cached__")


class PieceWriter:
    """Writes one top-level statement of a module.

    ``bound`` are the names that the module binds; ``freeze`` keeps local names as they are; with ``annotated`` all
    annotations count. ``loggers`` are names of the module that stand for ``logging`` or for what ``getLogger`` gave.
    """

    def __init__(
        self,
        module: str,
        package: str,
        bound: set[str],
        freeze: bool = False,
        annotated: bool = False,
        loggers: Collection[str] = (),
    ) -> None:
        self._module, self._package, self._bound, self._loggers = module, package, bound, loggers
        self._freeze, self._annotations_count = freeze, annotated
        self._numbered: list[str] = []
        self._class: list[str] = []
        self._stack: list[Pieces] = [[]]

    def written(self, node: Any, scope: Scope | None = None) -> Pieces:
        """The pieces of a node, or of a list of nodes."""
        self._stack.append([])
        self._write(node, scope)
        return self._stack.pop()

    def local_names(self) -> Pieces:
        """The names of local variables, in the order of their numbers, for code that looks at those of others."""
        return [["o", "locals", [f" locals {' '.join(self._numbered)}"]]] if self._numbered else []

    # -- pieces

    def _text(self, text: str) -> None:
        pieces = self._stack[-1]
        if pieces and isinstance(pieces[-1], str):
            pieces[-1] += text
        else:
            pieces.append(text)

    def _piece(self, piece: list[Any]) -> None:
        self._stack[-1].append(piece)

    def _optional(self, kind: str, write: Callable[[], None]) -> None:
        self._stack.append([])
        write()
        pieces = self._stack.pop()
        if pieces:
            self._piece(["o", kind, pieces])

    # -- nodes

    def _write(self, value: Any, scope: Scope | None) -> None:
        if isinstance(value, list):
            self._text("[")
            for item in value:
                if not without_effect(item):
                    self._write(item, scope)
            self._text("]")
        elif isinstance(value, ast.AST):
            special = getattr(self, f"_{type(value).__name__}", None)
            if special is None:
                self._node(value, scope)
            else:
                special(value, scope)
        else:
            self._text(f"{type(value).__name__}:{value!r};")

    def _node(self, node: ast.AST, scope: Scope | None, **instead: Callable[[], None]) -> None:
        """Type and fields. Empty ones are skipped: newer Pythons add such fields to old nodes."""
        self._text(f"({type(node).__name__}")
        for field in sorted(node._fields):
            child = getattr(node, field, None)
            if child is None and not isinstance(node, ast.Constant):
                continue
            if child == [] or field in SKIPPED:
                continue
            self._text(f" {field}=")
            if field in instead:
                instead[field]()
            else:
                self._write(child, scope)
        self._text(")")

    # -- names

    def _Name(self, node: ast.Name, scope: Scope | None) -> None:
        self._name(node.id, scope, [], isinstance(node.ctx, ast.Load))
        if not isinstance(node.ctx, ast.Load):
            self._text(f"!{type(node.ctx).__name__}")

    def _Attribute(self, node: ast.Attribute, scope: Scope | None) -> None:
        chain: list[str] = []
        base, load = node, isinstance(node.ctx, ast.Load)
        while isinstance(base, ast.Attribute):
            chain.insert(0, base.attr)
            base = base.value  # type: ignore[assignment]
        if not isinstance(base, ast.Name):
            self._text("(Attribute ")
            self._write(node.value, scope)
            self._text(f".{node.attr}")
        elif load:
            self._text("(Attribute ")
            self._name(base.id, scope, chain, True)
        else:  # what is set is an attribute of something, and that something is read
            self._text("(Attribute ")
            self._name(base.id, scope, chain[:-1], True)
            self._text(f".{node.attr}")
        if not load:
            self._text(f"!{type(node.ctx).__name__}")
        self._text(")")

    def _name(self, name: str, scope: Scope | None, chain: list[str], load: bool) -> None:
        holder = scope.holder(name) if scope else None
        attributes = "".join(f".{a}" for a in chain)
        if holder is None:
            self._global(self._mangled(name), chain, load)
        elif name in holder.imported:
            self._piece(["i", *holder.imported[name], chain, load])
        elif name in holder.kept or self._freeze:
            self._text(f"n:{name}{attributes}")
            if load and holder.is_class and self._mangled(name) in self._bound:
                self._global(
                    self._mangled(name), chain, load
                )  # until it is bound, the class sees the module's
        else:
            if holder.local[name] is None:
                holder.local[name] = len(self._numbered)
                self._numbered.append(name)
            self._text(f"v{holder.local[name]}{attributes}")

    def _global(self, name: str, chain: list[str], load: bool) -> None:
        if name in self._bound:
            self._piece(["r", name, chain, load])
        else:
            where = f"@{self._module}" if name in _OF_MODULE else ""
            self._text(f"b:{name}{where}{''.join(f'.{a}' for a in chain)};")

    def _mangled(self, name: str) -> str:
        inside = self._class and name.startswith("__") and not name.endswith("__")
        return f"_{self._class[-1].lstrip('_')}{name}" if inside and self._class[-1].lstrip("_") else name

    def _bind(self, name: str | None, scope: Scope | None) -> None:
        """A name that stands as text where it is bound."""
        if name is not None:
            self._name(name, scope, [], False)
