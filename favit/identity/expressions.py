"""Whether evaluating an expression when its module is imported has no effect.

What is not known to be harmless is taken to have an effect. Harmless are constants, names and attributes, containers
and arithmetic of what the module itself writes out, and calls and decorators on a short list.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping

from favit.identity.scopes import Target

# Calls that change nothing but what they return, given harmless arguments.
_CALLS = {
    *(
        "dict",
        "frozenset",
        "tuple",
        "set",
        "list",
        "range",
        "len",
        "min",
        "max",
        "sum",
        "sorted",
        "zip",
        "abs",
    ),
    *("round", "int", "float", "str", "bool", "bytes", "complex", "enumerate", "reversed", "slice", "object"),
    *("pathlib.Path", "pathlib.PurePath", "pathlib.PurePosixPath", "re.compile", "logging.getLogger"),
    *(
        "typing.TypeVar",
        "typing.ParamSpec",
        "typing.NewType",
        "collections.OrderedDict",
        "fractions.Fraction",
    ),
    *("types.MappingProxyType", "datetime.date", "datetime.timedelta", "dataclasses.field", "enum.auto"),
    *("math.sqrt", "math.log", "math.exp", "math.ceil", "math.floor", "math.prod", "math.log2"),
}
_METHODS = {
    *(
        "split",
        "strip",
        "lstrip",
        "rstrip",
        "join",
        "format",
        "lower",
        "upper",
        "replace",
        "encode",
        "decode",
    ),
    *(
        "keys",
        "values",
        "items",
        "removeprefix",
        "removesuffix",
        "splitlines",
        "union",
        "resolve",
        "with_suffix",
    ),
    *("joinpath", "absolute", "as_posix", "title", "count", "index", "bit_length"),
}
# Their classes say in annotations what may be set, and do nothing.
_DECLARING = ("favit.components.bounds", "favit.components.neutral")
_PLAIN = (ast.Constant, ast.Pass, ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)
_CONTAINERS = (
    ast.Tuple,
    ast.List,
    ast.Set,
    ast.Dict,
    ast.Starred,
    ast.keyword,
    ast.FormattedValue,
    ast.Slice,
)


class Expressions:
    """Judges the statements of one module.

    ``imported`` says what its imports bind; ``values`` are the expressions that it assigns to names, ``defined`` the
    names of its functions and classes; ``is_own`` whether a module belongs to the project.
    """

    def __init__(
        self,
        imported: Mapping[str, Target],
        values: Mapping[str, ast.expr],
        classes: Mapping[str, ast.ClassDef],
        functions: Iterable[str],
        is_own: Callable[[str], bool],
        late_annotations: bool,
    ) -> None:
        self._imported, self._values, self._classes = imported, values, classes
        self._functions, self._is_own = set(functions), is_own
        self._late_annotations = late_annotations
        self.bases: list[
            Target
        ] = []  # classes of the project that others derive from: harmless if they are not told
        self.attributes: list[
            Target
        ] = []  # what is read of modules of the project: harmless if it is defined there
        self.named: list[Target] = []  # values of attributes of classes: harmless if they are no objects
        self._written_out: dict[str, bool] = {}
        self._seen: set[str] = set()

    def own_target(self, node: ast.expr) -> Target | None:
        """The module and name of ``Base`` or ``module.Base`` that is imported."""
        base = node.value if isinstance(node, ast.Attribute) else node
        if not isinstance(base, ast.Name) or base.id not in self._imported:
            return None
        module, name = self._imported[base.id]
        if isinstance(node, ast.Attribute):
            return (f"{module}.{name}" if name else module), node.attr
        return (module, name) if name else None

    def annotation(self, node: ast.AST) -> bool:
        """Types by name, in brackets and joined by bars."""
        if isinstance(node, ast.Subscript):
            name = self.meaning(node.value)
            return name is not None and self.annotation(node.slice)
        if isinstance(node, ast.BinOp):
            return (
                isinstance(node.op, ast.BitOr) and self.annotation(node.left) and self.annotation(node.right)
            )
        if isinstance(node, ast.Tuple | ast.List):
            return all(map(self.annotation, node.elts))
        if isinstance(node, ast.Call):
            if self._is_bound(node.func):
                return all(map(self.operand, [*node.args, *(k.value for k in node.keywords)]))
            return self.meaning(node.func) is not None and self.expression(node)
        return isinstance(node, ast.Name | ast.Constant) or (
            isinstance(node, ast.Attribute) and self.annotation(node.value)
        )

    def _is_bound(self, node: ast.expr) -> bool:
        """``AtLeast`` and its like, which only hold what they are given."""
        target = self.own_target(node)
        return target is not None and target[0] in _DECLARING

    def expression(self, node: ast.AST) -> bool:
        """Whether an expression has no effect; names and attributes alone have none."""
        if isinstance(node, (*_PLAIN, ast.Name)):
            return True
        if isinstance(node, ast.Attribute):
            return self._attribute(node)
        if isinstance(node, ast.Lambda):
            return all(map(self.expression, [*node.args.defaults, *filter(None, node.args.kw_defaults)]))
        if isinstance(node, _CONTAINERS):
            starred = (
                [v for k, v in zip(node.keys, node.values, strict=True) if k is None]
                if isinstance(node, ast.Dict)
                else []
            )
            starred += [node.value] if isinstance(node, ast.Starred | ast.FormattedValue) else []
            hashed = [k for k in node.keys if k] if isinstance(node, ast.Dict) else []
            hashed += node.elts if isinstance(node, ast.Set) else []
            return (
                all(map(self.operand, starred))
                and all(map(self._hashed, hashed))
                and all(map(self.expression, ast.iter_child_nodes(node)))
            )
        if isinstance(node, ast.Subscript) and self._is_generic(node):
            return self.annotation(node.slice)
        return self.operand(node)

    def operand(self, node: ast.AST) -> bool:
        """Whether an expression is made of what the module writes out, so that operators on it are Python's own."""
        if isinstance(node, ast.Constant):
            return True
        if isinstance(node, ast.Name):
            return self._is_written_out(node.id)
        if isinstance(node, ast.BinOp | ast.UnaryOp | ast.BoolOp | ast.Compare | ast.IfExp | ast.JoinedStr):
            return all(map(self.operand, _parts(node)))
        if isinstance(
            node, ast.Tuple | ast.List | ast.Set | ast.Dict | ast.Starred | ast.FormattedValue | ast.Slice
        ):
            return all(map(self.operand, _parts(node)))
        if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            return self._comprehension(node)
        if isinstance(node, ast.Subscript):
            return self.operand(node.value) and self.operand(node.slice)
        if isinstance(node, ast.Attribute):
            return node.attr in ("parent", "parents", "name", "stem", "suffix") and self.operand(node.value)
        return isinstance(node, ast.Call) and self._call(node)

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> bool:
        """One over what the module writes out: its variables then are, too."""
        names = {n.id for g in node.generators for n in ast.walk(g.target) if isinstance(n, ast.Name)}
        kept = {name: self._written_out.get(name) for name in names}
        sources = [g.iter for g in node.generators]
        if not all(map(self.operand, sources)) or any(g.is_async for g in node.generators):
            return False
        self._written_out.update(dict.fromkeys(names, True))
        parts = [p for p in (getattr(node, k, None) for k in ("elt", "key", "value")) if p is not None]
        harmless = all(map(self.operand, [*parts, *(i for g in node.generators for i in g.ifs)]))
        for name, value in kept.items():
            if value is None:
                del self._written_out[name]
            else:
                self._written_out[name] = value
        return harmless

    def _call(self, node: ast.Call) -> bool:
        arguments = [*node.args, *(k.value for k in node.keywords)]
        if isinstance(node.func, ast.Attribute) and self.meaning(node.func) is None:
            harmless = node.func.attr in _METHODS and self.operand(node.func.value)
            return harmless and all(map(self.operand, arguments))
        name = (self.meaning(node.func) or "").removeprefix("builtins.")
        if name == "dataclasses.field":  # a factory is called for each object, not here
            return all(map(self.expression, arguments))
        if name in ("typing.TypeVar", "typing.NewType"):
            return all(map(self.annotation, arguments))
        return name in _CALLS and all(map(self.operand, arguments))

    def _attribute(self, node: ast.Attribute) -> bool:
        """Reading an attribute of a module or a written-out value; a property of an object may do anything."""
        base = node.value
        while isinstance(base, ast.Attribute):
            base = base.value
        if isinstance(base, ast.Name):
            if base.id in self._imported and self._is_own(self._imported[base.id][0]):
                target = self.own_target(node) if base is node.value else None
                if target is not None:
                    self.attributes.append(target)
                return target is not None
            return base.id in self._imported or self.operand(node) or base.id in self._classes
        return self.operand(node)

    def _hashed(self, node: ast.expr) -> bool:
        """A key whose hash is Python's own: written out, or a name of something outside, such as a type."""
        return self.operand(node) or self.meaning(node) is not None

    def _is_generic(self, node: ast.Subscript) -> bool:
        """``dict[str, int]``: types of other packages in brackets."""
        return self.meaning(node.value) is not None

    def _is_written_out(self, name: str) -> bool:
        if name in ("__file__", "__name__"):
            return True
        if name not in self._written_out:
            self._written_out[name] = False  # of itself: never
            value = self._values.get(name)
            self._written_out[name] = value is not None and self.operand(value)
        return self._written_out[name]

    def meaning(self, node: ast.expr) -> str | None:
        """The dotted name of something outside the project, None for anything else."""
        chain: list[str] = []
        while isinstance(node, ast.Attribute):
            chain.insert(0, node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        if node.id in self._imported:
            module, name = self._imported[node.id]
            if self._is_own(module):
                return None
            return ".".join([module, *([name] if name else []), *chain])
        if node.id in self._values or node.id in self._classes or node.id in self._functions:
            return None
        return ".".join(["builtins", node.id, *chain])


def _parts(node: ast.AST) -> list[ast.AST]:
    return [n for n in ast.iter_child_nodes(node) if not isinstance(n, _PLAIN) or isinstance(n, ast.Constant)]
