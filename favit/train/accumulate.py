"""A step whose batch goes through the model in parts, with the gradients of one that goes through it at once.

What the forward pass draws from torch's default generators (dropout, stochastic depth) is drawn for the whole batch
and each part takes its rows, so that the masks are those of the undivided step, to the bit. Batch norms are beyond
this: they see a part at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

# Draws by size: rand, randn, randint, normal, ...; those that take their form from a tensor
_SIZED = {"rand", "randn", "randint", "normal"}
_LIKE = {"rand_like", "randn_like", "randint_like"}


class CannotSplit(ValueError):
    """A model draws something of which a part of the batch cannot take its share."""


def parts(examples: int, at_once: int) -> list[slice]:
    """The parts of a batch, ``at_once`` examples each and the last what is left; 0: all of them."""
    size = at_once or examples
    return [slice(start, min(start + size, examples)) for start in range(0, examples, size)]


def some_of(examples: Any, part: slice) -> Any:
    """A part of a task's examples: each tensor's first axis is the batch."""
    return tuple(tensor[part] for tensor in examples)


@contextmanager
def as_of_the_whole(part: slice, examples: int) -> Iterator[None]:
    """Draw for the whole batch of so many examples and take the rows of ``part``."""
    with ExitStack() as stack:
        stack.enter_context(_PlainDropout())
        stack.enter_context(_Rows(part, examples))
        yield


def without_exchange(model: nn.Module) -> AbstractContextManager[Any]:
    """Keep gradients to oneself: several processes exchange them after the last part."""
    return model.no_sync() if isinstance(model, nn.parallel.DistributedDataParallel) else nullcontext()


class _PlainDropout(TorchFunctionMode):
    """Has attention draw its dropout as dropout does, not inside a fused kernel, where no rows can be taken."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention and (kwargs.get("dropout_p") or (args[4:5] or (0,))[0]):
            with sdpa_kernel(SDPBackend.MATH):
                return func(*args, **kwargs)
        return func(*args, **kwargs)


class _Rows(TorchDispatchMode):
    """Replaces each draw from a default generator, whose first axis is the part's, by rows of a larger draw.

    The first axis is the part's where its length is a multiple of the part's; any other draw is the same for all
    examples and stays as it is, and so does one from a generator of its own. ``CannotSplit`` for a draw of which
    rows cannot be taken.
    """

    def __init__(self, part: slice, examples: int) -> None:
        super().__init__()
        self._part, self._n, self._whole = part, part.stop - part.start, examples

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags or _has_own_generator(args, kwargs):
            return func(*args, **kwargs)
        name = func._schema.name.removeprefix("aten::")
        if _drops_nothing(func, args, kwargs):
            return func(*args, **kwargs)
        if name.endswith("_") and isinstance(args[0], Tensor):
            return self._in_place(func, args, kwargs)
        if name == "native_dropout":
            return self._dropout(func, *args)
        if name in _LIKE:
            return self._drawn(lambda whole: func(whole, *args[1:], **kwargs), args[0])
        if name in _SIZED and (place := _place_of_size(args)) is not None:
            return self._sized(func, args, kwargs, place)
        if name == "randperm":
            return func(*args, **kwargs)
        raise CannotSplit(
            f"micro_batch_size: what {name} draws cannot be drawn for the whole batch; set it to 0"
        )

    def _in_place(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        target: Tensor = args[0]
        if any(isinstance(a, Tensor) and a.dim() for a in args[1:]):
            raise CannotSplit(
                f"micro_batch_size: {func._schema.name} draws each example with a probability of its own, which "
                "cannot be done for the whole batch; set it to 0"
            )
        if not self._is_of_examples(target.shape):
            result: Tensor = func(*args, **kwargs)
            return result
        return target.copy_(self._drawn(lambda whole: func(whole, *args[1:], **kwargs), target))

    def _drawn(self, draw: Callable[[Tensor], Tensor], like: Tensor) -> Tensor:
        if not self._is_of_examples(like.shape):
            return draw(like)
        return self._rows(draw(self._larger(like)))

    def _dropout(self, func: Any, x: Tensor, p: float, train: bool | None) -> tuple[Tensor, Tensor]:
        if not self._is_of_examples(x.shape):
            result: tuple[Tensor, Tensor] = func(x, p, train)
            return result
        mask = self._rows(func(self._larger(x).fill_(1), p, train)[1])
        return x * mask * (1 / (1 - p) if p < 1 else 0.0), mask

    def _sized(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], place: int) -> Tensor:
        size = list(args[place])
        if not self._is_of_examples(size):
            result: Tensor = func(*args, **kwargs)
            return result
        larger = [self._whole * (size[0] // self._n), *size[1:]]
        return self._rows(func(*args[:place], larger, *args[place + 1 :], **kwargs))

    def _is_of_examples(self, shape: Any) -> bool:
        return len(shape) > 0 and shape[0] > 0 and shape[0] % self._n == 0

    def _larger(self, x: Tensor) -> Tensor:
        """An empty tensor for the whole batch, laid out in memory as ``x`` is: draws go along the memory."""
        order = sorted(range(x.dim()), key=x.stride, reverse=True)
        shape = (self._whole * (x.shape[0] // self._n), *x.shape[1:])
        return torch.empty_permuted(shape, order, dtype=x.dtype, device=x.device)

    def _rows(self, whole: Tensor) -> Tensor:
        per_example = whole.shape[0] // self._whole
        return whole[self._part.start * per_example : self._part.stop * per_example]


def _drops_nothing(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether it is an attention kernel whose dropout is off."""
    for place, argument in enumerate(func._schema.arguments):
        if argument.name == "dropout_p":
            given = args[place] if place < len(args) else kwargs.get("dropout_p", argument.default_value)
            return not given
    return False


def _has_own_generator(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    return any(isinstance(value, torch.Generator) for value in (*args, *kwargs.values()))


def _place_of_size(args: tuple[Any, ...]) -> int | None:
    return next((i for i, value in enumerate(args) if isinstance(value, list | tuple)), None)
