"""Errors of mechanisms and models about values and tensors that they cannot take. Imports nothing but ``bounds``.

A constructor's annotations declare its settings; ``checked`` holds what it is given against them, so that
Python users meet the bounds that the dry run knows.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import (
    Any,
    Concatenate,
    Literal,
    ParamSpec,
    Protocol,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

from favit.components.bounds import Bound

P = ParamSpec("P")
S = TypeVar("S")


def check_value(name: str, value: Any, bounds: Iterable[Bound], choices: tuple[Any, ...]) -> None:
    """``ValueError`` naming what is allowed, unless ``value`` is one of the choices and within the bounds."""
    if choices and not any(type(value) is type(choice) and value == choice for choice in choices):
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, not {value!r}")
    for bound in bounds:
        if not bound.allows(value):
            raise ValueError(f"{name} must be {bound.words} {bound.limit}, not {value!r}")


def checked(
    init: Callable[Concatenate[S, P], None],
) -> Callable[Concatenate[S, P], None]:
    """Decorates a constructor: its keyword-only arguments keep to the bounds and choices in its annotations."""
    settings = [p.name for p in inspect.signature(init).parameters.values() if p.kind is p.KEYWORD_ONLY]

    @functools.wraps(init)
    def checked_init(self: S, /, *args: P.args, **kwargs: P.kwargs) -> None:
        for name in settings:
            if name in kwargs:
                check_value(name, kwargs[name], *_limits(init)[name])
        init(self, *args, **kwargs)

    return checked_init


def check_fields(config: Any) -> None:
    """Hold the fields of a dataclass against their annotations; called from its ``__post_init__``."""
    limits = _limits(type(config))  # type: ignore[arg-type]
    for field in fields(config):
        check_value(field.name, getattr(config, field.name), *limits[field.name])


@functools.cache
def _limits(annotated: Callable[..., object]) -> dict[str, tuple[tuple[Bound, ...], tuple[Any, ...]]]:
    """Bounds and choices by name."""
    hints = get_type_hints(annotated, include_extras=True)
    return {name: (_bounds(hint), _choices(hint)) for name, hint in hints.items()}


def _bounds(hint: Any) -> tuple[Bound, ...]:
    return tuple(b for b in getattr(hint, "__metadata__", ()) if isinstance(b, Bound))


def _choices(hint: Any) -> tuple[Any, ...]:
    kind = getattr(hint, "__origin__", hint) if hasattr(hint, "__metadata__") else hint
    return get_args(kind) if get_origin(kind) is Literal else ()


class Shaped(Protocol):
    """A tensor, as far as its shape goes."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of its axes."""
        ...


def check_shapes(who: str, pattern: str, *tensors: Any, hint: str = "", **sizes: int) -> None:
    """``ValueError`` unless tensors have the shapes that a pattern names, one group of axes for each.

    ``check_shapes("probsparse", "b h l d, b h l d, b h l e", q, k, v, l=96)``: a name stands for one size
    throughout, those given as keywords for the given ones; a number for itself. The message shows the
    pattern and the shapes that came.
    """
    known = dict(sizes)
    for axes, tensor in zip(pattern.split(", "), tensors, strict=True):
        names = axes.split(" ")
        if len(names) != len(tensor.shape):
            raise ValueError(_shapes_message(who, pattern, tensors, sizes, hint))
        for name, size in zip(names, tensor.shape, strict=True):
            wanted = int(name) if name.isdigit() else known.setdefault(name, size)
            if wanted != size:
                raise ValueError(_shapes_message(who, pattern, tensors, sizes, hint))


def _shapes_message(
    who: str, pattern: str, tensors: tuple[Shaped, ...], sizes: Mapping[str, int], hint: str
) -> str:
    wanted = ", ".join(f"({axes})" for axes in pattern.split(", "))
    where = f" with {', '.join(f'{name} = {size}' for name, size in sizes.items())}" if sizes else ""
    came = ", ".join(str(tuple(tensor.shape)) for tensor in tensors)
    return f"{who}: expected {wanted}{where}; got {came}{f'; {hint}' if hint else ''}"
