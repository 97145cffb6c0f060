"""Whether a statement of a module does no more than define: if not, the whole file counts."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from favit.identity import scopes
from favit.identity.expressions import Expressions

DECORATORS = {
    *("staticmethod", "classmethod", "property", "functools.cache", "functools.lru_cache", "functools.wraps"),
    *("functools.cached_property", "functools.total_ordering", "dataclasses.dataclass", "abc.abstractmethod"),
    *("contextlib.contextmanager", "typing.final", "typing.runtime_checkable", "typing.overload"),
    *("torch.no_grad", "torch.inference_mode", "torch.enable_grad", "enum.unique"),
    *("torch.autograd.function.once_differentiable", "torch.jit.ignore", "torch.jit.unused"),
}
# Packages whose classes can be derived from without being told.
_BASES = (
    "torch.",
    "typing.",
    "abc.",
    "enum.",
    "collections.",
    "builtins.",
    "json.",
    "threading.",
    "argparse.",
    "importlib.",
)
# What a class is told by of those derived from it, or of being put into brackets.
_HEARING = {"__init_subclass__", "__class_getitem__", "__mro_entries__"}
# What an enumeration calls for each of its members.
_MAKING_MEMBERS = {"__init__", "__new__", "_generate_next_value_", "__set_name__", "__hash__", "__eq__"}


class Purity(Expressions):
    """Judges the definitions of one module; see ``Expressions`` for what it is given."""

    def function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, also: Iterable[str] = ()) -> bool:
        """Whether defining a function has no effect but its name; ``also`` are names whose attributes decorate."""
        arguments = node.args
        defaults = [*arguments.defaults, *(d for d in arguments.kw_defaults if d)]
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        every += [a for a in (arguments.vararg, arguments.kwarg) if a]
        annotations = [a.annotation for a in every if a.annotation] + ([node.returns] if node.returns else [])
        return (
            all(self._decorator(d, set(also)) for d in node.decorator_list)
            and all(map(self.expression, defaults))
            and (self._late_annotations or all(map(self.annotation, annotations)))
            and not getattr(node, "type_params", [])
        )

    def of_class(self, node: ast.ClassDef) -> bool:
        """Whether defining a class has no effect but its name."""
        return (
            not node.keywords
            and not (self._is_enum(node) and _binds(node) & _MAKING_MEMBERS)
            and not getattr(node, "type_params", [])
            and all(self._decorator(d, set()) for d in node.decorator_list)
            and all(map(self._base, node.bases))
            and not (self._is_enum(node) and any(self.meaning(base) is None for base in node.bases))
            and self._body(node)
        )

    def told(self, node: ast.ClassDef) -> bool:
        """Whether a class hears of classes derived from it: an enumeration makes its members when it is defined."""
        return is_told(node) or (self._is_enum(node) and bool(_binds(node) & _MAKING_MEMBERS))

    def _is_enum(self, node: ast.ClassDef) -> bool:
        return any((self.meaning(base) or "").startswith("enum.") for base in node.bases)

    def _body(self, node: ast.ClassDef) -> bool:
        properties: set[str] = set()
        for statement in node.body:
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
                if not self.function(statement, properties):
                    return False
                properties.add(statement.name)
            elif isinstance(statement, ast.Assign):
                names = all(isinstance(t, ast.Name) for t in statement.targets)
                if not (names and self.expression(statement.value) and self._unnamed(statement.value)):
                    return False
            elif isinstance(statement, ast.AnnAssign):
                late = self._late_annotations or self.annotation(statement.annotation)
                if not isinstance(statement.target, ast.Name) or not late:
                    return False
                value = statement.value
                if value is not None and not (self.expression(value) and self._unnamed(value)):
                    return False
            elif isinstance(statement, ast.ClassDef):
                if not self.of_class(statement):
                    return False
            elif not (isinstance(statement, ast.Pass) or _is_text(statement)):
                return False
        return True

    def _base(self, node: ast.expr) -> bool:
        """A class that is not told of those derived from it."""
        if isinstance(node, ast.Subscript):
            return self._base(node.value) and self.annotation(node.slice)
        name = self.meaning(node)
        if name is not None:
            return name.startswith(_BASES)
        if isinstance(node, ast.Name) and node.id in self._classes:
            own = self._classes[node.id]
            return not self.told(own) and all(map(self._base, own.bases))
        target = self.own_target(node)
        if target is not None:
            self.bases.append(target)
        return target is not None

    def _unnamed(self, node: ast.expr) -> bool:
        """A value of a class's attribute that is not told its name there, as an object with ``__set_name__`` is."""
        if isinstance(node, ast.Name) and node.id in self._values:
            return node.id in self._seen or self._is_written_out(node.id) or self._same_value(node.id)
        target = self.own_target(node)
        if target is not None and self._is_own(target[0]):
            self.named.append(target)
        return True

    def _same_value(self, name: str) -> bool:
        self._seen.add(name)
        harmless = self.expression(self._values[name]) and self._unnamed(self._values[name])
        self._seen.discard(name)
        return harmless

    def _decorator(self, node: ast.expr, properties: set[str]) -> bool:
        if isinstance(node, ast.Attribute) and node.attr in ("setter", "getter", "deleter"):
            return isinstance(node.value, ast.Name) and node.value.id in properties
        if isinstance(node, ast.Call):
            arguments = [*node.args, *(k.value for k in node.keywords)]
            return self._decorator(node.func, set()) and all(map(self.expression, arguments))
        name = self.meaning(node)
        return name is not None and name.removeprefix("builtins.") in DECORATORS


def is_told(node: ast.ClassDef) -> bool:
    """Whether a class hears of classes derived from it, or of the names that they bind."""
    return bool(node.keywords) or bool(_binds(node) & _HEARING)


def _binds(node: ast.ClassDef) -> set[str]:
    """The names of a class's own attributes."""
    return {name for _, name, _ in scopes.bindings(node.body, "")}


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
