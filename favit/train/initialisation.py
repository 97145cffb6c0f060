"""Initial values from (seed, name): what two models have in common starts equal.

One generator drawn in order would give a parameter other values as soon as anything before it is drawn more or
less often, and two arms of an ablation would share their seed but not their start. Here each parameter is drawn
from a generator of its own. The constructors stay as they are, and so do the distributions: all that changes is
where the default generator stands when they draw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import TorchDispatchMode

from favit.train import seeds


def named(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    """What ``make`` constructs, with each parameter's initial values from (seed, its qualified name).

    ``make`` is called twice, the first time for the names, and must register the same parameters in the same
    order. Values that are drawn before their parameter is registered (``nn.Parameter(torch.randn(n) / 9)``) come
    from (seed, name of the next parameter), unless another one of the same module was drawn just before. What has
    a generator of its own keeps it.
    """
    registered: list[nn.Parameter] = []
    with _at_registration(registered.append):
        model = make()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    draws = _Draws(seed, [names.get(id(p), f"replaced {i}") for i, p in enumerate(registered)])
    with _at_registration(draws.registered, draws.module_registered), draws:
        return make()


class _Draws(TorchDispatchMode):
    """Sends the default generator to a parameter's own place before the parameter is drawn."""

    def __init__(self, seed: int, names: list[str]) -> None:
        super().__init__()
        self._seed, self._names = seed, names
        self._parameters: list[nn.Parameter] = []  # so far; held, so that no two share an address
        self._places: dict[int, int] = {}  # address of its numbers -> place in the order of registration
        self._times: dict[tuple[str, str], int] = {}
        self._between = True  # whether a draw into something unknown begins something new

    def registered(self, parameter: nn.Parameter) -> None:
        """Another parameter is known by its name from here on."""
        address = _address(parameter)
        if address:
            self._places[address] = len(self._parameters)
        self._parameters.append(parameter)
        self._between = True

    def module_registered(self) -> None:
        """A module is complete: what is drawn next belongs to another."""
        self._between = True

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if torch.Tag.nondeterministic_seeded in func.tags:
            filled = (kwargs or {}).get("out", args[0] if args else None) if func._schema.is_mutable else None
            place = self._places.get(_address(filled))
            if place is not None:
                self._begin("drawn", place)
            elif self._between:
                self._begin("before")
            self._between = False
        return func(*args, **(kwargs or {}))

    def _begin(self, kind: str, place: int | None = None) -> None:
        """Where a parameter is drawn several times, as by its layer and then by its model, each time is another."""
        following = len(self._parameters) if place is None else place
        name = self._names[following] if following < len(self._names) else ""
        time = self._times[kind, name] = self._times.get((kind, name), -1) + 1
        torch.default_generator.manual_seed(seeds.derive(self._seed, "weights", name, kind, time))


def _address(tensor: Any) -> int:
    """Where its numbers are; 0 if there are none yet."""
    there = isinstance(tensor, Tensor) and not is_lazy(tensor)
    return tensor.untyped_storage().data_ptr() if there else 0


@contextmanager
def _at_registration(
    parameter_is: Callable[[nn.Parameter], Any], module_is: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Call ``parameter_is`` for each parameter that a module registers, and ``module_is`` after each module."""
    ours = [
        hooks.register_module_parameter_registration_hook(
            lambda module, name, parameter: parameter_is(parameter) if parameter is not None else None
        ),
        hooks.register_module_module_registration_hook(lambda module, name, below: module_is()),
    ]
    try:
        yield
    finally:
        for hook in ours:
            hook.remove()
