"""Classes of plain fields for what runs on a node: dataclasses, but without the time that loading `dataclasses` takes.

That module loads what reads and inspects source code: a sixth of what each task of thousands costs beside its command.
What is written here are dataclasses to type checkers, and behave as such in what the allocation makes use of.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as `typing` has it, which takes 5 ms to load

if TYPE_CHECKING:
    from dataclasses import asdict as asdict
    from dataclasses import dataclass as dataclass
    from dataclasses import field as field
    from dataclasses import replace as replace
else:

    class field:
        """A field whose default is made anew for each instance, or that equality does not look at."""

        def __init__(self, default=None, default_factory=None, compare=True):
            self.make, self.compare = default_factory or (lambda: default), compare

    def dataclass(cls=None, /, *, frozen=False):
        """Give the class `__init__`, `__eq__` and `__repr__` from its annotated fields; `frozen` is for checkers."""
        if cls is None:
            return dataclass
        names = tuple(cls.__annotations__)
        defaults = {name: vars(cls)[name] for name in names if name in vars(cls)}
        compared = [name for name in names if getattr(defaults.get(name), "compare", True)]
        required = set(names) - set(defaults)

        def __init__(self, *values, **named):
            given = dict(zip(names, values, strict=False)) | named
            if len(given) != len(values) + len(named) or given.keys() - set(names) or required - given.keys():
                raise TypeError(f"{cls.__name__} takes {', '.join(names)}")
            for name, default in defaults.items():
                if name not in given:
                    given[name] = default.make() if isinstance(default, field) else default
            vars(self).update(given)

        def __eq__(self, other):
            if type(other) is not type(self):
                return NotImplemented
            return all(vars(self)[name] == vars(other)[name] for name in compared)

        def __repr__(self):
            return f"{cls.__name__}({', '.join(f'{name}={vars(self)[name]!r}' for name in names)})"

        cls.__init__, cls.__eq__, cls.__repr__ = __init__, __eq__, __repr__
        return cls

    def replace(instance, **changes):
        """Return a copy with other values of some fields."""
        return type(instance)(**vars(instance) | changes)

    def asdict(instance):
        """Return the fields and their values."""
        return dict(vars(instance))
