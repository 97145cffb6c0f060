"""The canonical text of a definition, in which what it names is left open until it is known what that is.

A text is a list of pieces, plain values that JSON can hold:

* a string, which is text;
* ``["r", name, attributes, is_load]``: a name of the module around, and the attributes read of it;
* ``["i", module, name, attributes, is_load]``: something imported inside a function;
* ``["l", modules]``: modules that an import inside a function loads;
* ``["p", beginning]``: modules one of which a call imports by a name made at run time that begins so;
* ``["o", kind, pieces]``: what counts only where some code of the closure reads it: ``doc``, ``annotation``,
  ``text`` of an exception or of what is only said;
* ``["x", reference, pieces]``: the constant text given to a class of exceptions, which counts unless that is plain.

Local variables are numbered in the order of their appearance, unless the definition can look at its own names.
Comments, layout, docstrings and annotations without effect are gone. The form is our own, because ``ast.dump`` and
``ast.unparse`` differ between Python versions and a result must not.
"""

from __future__ import annotations

import ast
from typing import Any

from favit.identity import scopes
from favit.identity.pieces import Pieces, PieceWriter
from favit.identity.scopes import Scope
from favit.identity.syntax import LOADS_COMPONENTS, LOGGED, PLAIN_ERRORS, loaded_by, may_load, plain_text


class Writer(PieceWriter):
    """Writes one top-level statement of a module; see ``PieceWriter`` for what it is given."""

    # -- definitions

    def _FunctionDef(self, node: Any, scope: Scope | None) -> None:
        inner = scopes.of_function(node, scope, self._package)
        counted = bool(node.decorator_list)
        self._text(f"({type(node).__name__} {node.name}")
        self._write(node.decorator_list, scope)
        self._write(getattr(node, "type_params", []), scope)
        self._arguments_of(node.args, scope, counted)
        self._annotation(node.returns, scope, counted)
        self._docstring(node.body)
        self._write(node.body, inner)
        self._text(")")

    _AsyncFunctionDef = _FunctionDef

    def _arguments_of(self, node: ast.arguments, scope: Scope | None, counted: bool) -> None:
        for kind in ("posonlyargs", "args", "vararg", "kwonlyargs", "kwarg"):
            found = getattr(node, kind)
            self._text(f" {kind}:")
            for argument in found if isinstance(found, list) else filter(None, [found]):
                self._text(f"{argument.arg},")
                self._annotation(argument.annotation, scope, counted)
        self._write(node.defaults, scope)
        self._write([ast.Constant("none") if d is None else ast.Set([d]) for d in node.kw_defaults], scope)

    def _annotation(self, node: ast.expr | None, scope: Scope | None, counted: bool) -> None:
        if node is None:
            return
        if counted or self._annotations_count:
            self._annotated(node, scope)
        else:
            self._optional("annotation", lambda: self._annotated(node, scope))

    def _annotated(self, node: ast.expr, scope: Scope | None) -> None:
        """An annotation as it is spelt and what it means: dataclasses look at the one, tools at the other."""
        self._text(f" as {plain_text(node)} ")
        self._write(node, scope)
        for text in (n.value for n in ast.walk(node) if isinstance(n, ast.Constant)):
            if isinstance(text, str):
                try:
                    self._write(ast.parse(text, mode="eval").body, scope)
                except SyntaxError:
                    continue

    def _Lambda(self, node: ast.Lambda, scope: Scope | None) -> None:
        inner = scopes.of_function(node, scope, self._package)
        self._text("(Lambda")
        self._arguments_of(node.args, scope, True)
        self._write(node.body, inner)
        self._text(")")

    def _ClassDef(self, node: ast.ClassDef, scope: Scope | None) -> None:
        inner = scopes.of_class(node, scope, self._package)
        self._text(f"(ClassDef {node.name}")
        for part in (node.decorator_list, node.bases, node.keywords, getattr(node, "type_params", [])):
            self._write(part, scope)
        self._docstring(node.body)
        self._class.append(node.name)
        self._write(node.body, inner)
        self._class.pop()
        self._text(")")

    def _docstring(self, body: list[ast.stmt]) -> None:
        first = body[0] if body else None
        if (
            isinstance(first, ast.Expr)
            and isinstance(first.value, ast.Constant)
            and isinstance(first.value.value, str)
        ):
            text = first.value.value
            self._optional("doc", lambda: self._text(f" doc={text!r}"))

    # -- statements

    def _AnnAssign(self, node: ast.AnnAssign, scope: Scope | None) -> None:
        of_class = scope is not None and scope.is_class
        self._text("(Assign " if node.value is not None else "(Declare ")
        self._text(
            f"{node.simple} " if of_class else ""
        )  # a field of a class only where it stands without brackets
        self._write(node.target, scope)
        self._annotation(node.annotation, scope, of_class)
        if node.value is not None:
            self._write(node.value, scope)
        self._text(")")

    def _Assign(self, node: ast.Assign, scope: Scope | None) -> None:
        self._text("(Assign ")
        for target in node.targets:
            self._write(target, scope)
        self._write(node.value, scope)
        self._text(")")

    def _Import(self, node: ast.Import | ast.ImportFrom, scope: Scope | None) -> None:
        self._text("(Import ")
        for name, (module, attribute), loaded in scopes.imports(node, self._package):
            self._piece(["l", list(loaded)])
            holder = scope.holder(name) if scope else None
            if holder is None or name not in holder.imported:  # bound by something else, too: kept as a value
                self._bind(name, scope)
                self._piece(["i", module, attribute, [], False])
        self._text(")")

    _ImportFrom = _Import

    def _Global(self, node: ast.Global, scope: Scope | None) -> None:
        self._text("(Global ")
        for name in node.names:
            self._global(self._mangled(name), [], False)
            self._text(name)
        self._text(")")

    def _Nonlocal(self, node: ast.Nonlocal, scope: Scope | None) -> None:
        self._text("(Nonlocal)")  # which variables these are shows where they are used

    def _ExceptHandler(self, node: ast.ExceptHandler, scope: Scope | None) -> None:
        self._node(node, scope, name=lambda: self._bind(node.name, scope))

    def _MatchAs(self, node: ast.MatchAs, scope: Scope | None) -> None:
        self._node(node, scope, name=lambda: self._bind(node.name, scope))

    def _MatchStar(self, node: ast.MatchStar, scope: Scope | None) -> None:
        self._node(node, scope, name=lambda: self._bind(node.name, scope))

    def _MatchMapping(self, node: ast.MatchMapping, scope: Scope | None) -> None:
        self._node(node, scope, rest=lambda: self._bind(node.rest, scope))

    def _ListComp(self, node: Any, scope: Scope | None) -> None:
        inner = scopes.of_comprehension(node, scope)
        self._text(f"({type(node).__name__}")
        for place, generator in enumerate(node.generators):
            self._text(f" for{generator.is_async} ")
            self._write(generator.iter, inner if place else scope)
            self._write(generator.target, inner)
            self._write(generator.ifs, inner)
        for part in ("elt", "key", "value"):
            if hasattr(node, part):
                self._write(getattr(node, part), inner)
        self._text(")")

    _SetComp = _DictComp = _GeneratorExp = _ListComp

    def _JoinedStr(self, node: ast.JoinedStr, scope: Scope | None) -> None:
        # Python 3.12.0 and 3.12.1 put empty texts into format specifications
        parts = [p for p in node.values if not (isinstance(p, ast.Constant) and p.value == "")]
        self._text("(JoinedStr")
        self._write(parts, scope)
        self._text(")")

    def _TemplateStr(self, node: Any, scope: Scope | None) -> None:
        self._node(node, scope)

    def _Call(self, node: ast.Call, scope: Scope | None) -> None:
        kind = self._saying(node, scope)
        loaded = loaded_by(node, self._package)
        if loaded:
            self._piece(["l", [loaded]])
            self._piece(["i", loaded, None, [], False])
        beginning = may_load(node, self._package)
        if beginning is not None and self._module != LOADS_COMPONENTS:
            self._piece(["p", beginning])
        if kind is None:
            self._node(node, scope)
            return
        self._text("(Call ")
        self._write(node.func, scope)
        self._write(node.keywords, scope)
        for argument in node.args:
            self._said(argument, scope, kind)
        self._text(")")

    def _Raise(self, node: ast.Raise, scope: Scope | None) -> None:
        error = node.exc
        if (
            isinstance(error, ast.Call)
            and isinstance(error.func, ast.Name | ast.Attribute)
            and not error.keywords
        ):
            condition = self._error_class(error.func, scope)
            if condition is not None:
                self._text("(Raise ")
                self._write(error.func, scope)
                for argument in error.args:
                    self._said(argument, scope, condition)
                if node.cause is not None:
                    self._text(" from ")
                    self._write(node.cause, scope)
                self._text(")")
                return
        self._node(node, scope)

    def _Assert(self, node: ast.Assert, scope: Scope | None) -> None:
        self._text("(Assert ")
        self._write(node.test, scope)
        if node.msg is not None:
            self._said(node.msg, scope, "text")
        self._text(")")

    def _error_class(self, node: ast.expr, scope: Scope | None) -> Any:
        """What decides whether its text can go: ``text``, a reference to the class, or None where it cannot."""
        if isinstance(node, ast.Name) and (scope is None or scope.holder(node.id) is None):
            if node.id in self._bound:
                return ["r", node.id, [], True]
            return "text" if node.id in PLAIN_ERRORS else None
        return None

    def _saying(self, node: ast.Call, scope: Scope | None) -> Any:
        """Whether a call only tells people something: ``print`` to the screen, a logger's methods."""
        func = node.func
        owner = func.value if isinstance(func, ast.Attribute) and func.attr in LOGGED else func
        if not isinstance(owner, ast.Name) or (scope and scope.holder(owner.id)):
            return None
        if owner is not func:
            return "text" if owner.id in self._loggers else None
        screen = all(k.arg == "flush" and isinstance(k.value, ast.Constant) for k in node.keywords)
        return "text" if owner.id == "print" and owner.id not in self._bound and screen else None

    def _said(self, node: ast.expr, scope: Scope | None, condition: Any) -> None:
        """An argument whose constant text goes; what is put into it stays."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            self._constant(node.value, condition)
        elif isinstance(node, ast.JoinedStr):
            self._text("(JoinedStr[")
            for part in node.values:
                self._said(part, scope, condition)
            self._text("])")
        else:
            self._write(node, scope)

    def _constant(self, text: str, condition: Any) -> None:
        """Texts that follow each other are one, and none is like an empty one."""
        pieces: Pieces = [f"str:{text!r};"]
        if condition == "text":
            self._piece(["o", "text", pieces])
        else:
            self._piece(["x", condition, pieces])
