"""Whether a statement of a module does no more than define: if not, the whole file counts."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from favit.identity.expressions import Expressions

_DECORATORS = {
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
            and not getattr(node, "type_params", [])
            and all(self._decorator(d, set()) for d in node.decorator_list)
            and all(map(self._base, node.bases))
            and self._body(node)
        )

    def _body(self, node: ast.ClassDef) -> bool:
        properties: set[str] = set()
        for statement in node.body:
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
                if not self.function(statement, properties):
                    return False
                properties.add(statement.name)
            elif isinstance(statement, ast.Assign):
                names = all(isinstance(t, ast.Name) for t in statement.targets)
                if not names or not self.expression(statement.value):
                    return False
            elif isinstance(statement, ast.AnnAssign):
                late = self._late_annotations or self.annotation(statement.annotation)
                if not isinstance(statement.target, ast.Name) or not late:
                    return False
                if statement.value is not None and not self.expression(statement.value):
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
            return not is_told(own) and all(map(self._base, own.bases))
        target = self.own_target(node)
        if target is not None:
            self.bases.append(target)
        return target is not None

    def _decorator(self, node: ast.expr, properties: set[str]) -> bool:
        if isinstance(node, ast.Attribute) and node.attr in ("setter", "getter", "deleter"):
            return isinstance(node.value, ast.Name) and node.value.id in properties
        if isinstance(node, ast.Call):
            arguments = [*node.args, *(k.value for k in node.keywords)]
            return self._decorator(node.func, set()) and all(map(self.expression, arguments))
        name = self.meaning(node)
        return name is not None and name.removeprefix("builtins.") in _DECORATORS


def is_told(node: ast.ClassDef) -> bool:
    """Whether a class hears of classes derived from it, or of the names that they bind."""
    return bool(node.keywords) or any(
        getattr(statement, "name", None) in ("__init_subclass__", "__class_getitem__", "__mro_entries__")
        for statement in node.body
    )


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
