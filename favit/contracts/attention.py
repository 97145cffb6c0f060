"""The contract of attention mechanisms; ``favit/attention/__init__.py`` has it in words."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from favit.components import declared, registry
from favit.components.flags import flag

BATCH, HEADS, LENGTH, KEY, VALUE = 2, 3, 14, 4, 5
_EXACT: dict[str, Any] = {"rtol": 0, "atol": 1e-12}

Arguments = list[
    Tensor
]  # q, k (B, H, L, d), v (B, H, L, e), and position's parts of queries and keys (H, L, d)


def gives_values_for_queries(name: str) -> None:
    """Queries and keys (B, H, L, d) and values (B, H, L, e) give (B, H, L, e), finite, of the same type."""
    for dtype in (torch.float32, torch.float64):
        for causal in (False, True):
            out = _attention(name, causal, dtype)(*_arguments(name, dtype))
            wanted = (BATCH, HEADS, LENGTH, VALUE)
            assert out.shape == wanted, f"the output is {tuple(out.shape)}, not {wanted}"
            assert out.dtype == dtype, f"input of {dtype} gives output of {out.dtype}"
            assert out.isfinite().all(), "the output is not finite"


def keeps_examples_apart(name: str) -> None:
    """An example's output does not depend on other examples of the batch."""
    for causal in (False, True):
        attention, (q, k, v, *position) = _attention(name, causal), _arguments(name)
        both, alone = attention(q, k, v, *position), attention(q[1:], k[1:], v[1:], *position)
        torch.testing.assert_close(both[1:], alone, **_EXACT)


def passes_finite_gradients(name: str) -> None:
    """Gradients reach queries, keys, values and every parameter, and are finite."""
    for causal in (False, True):
        attention, arguments = _attention(name, causal), _arguments(name)
        for tensor in arguments:
            tensor.requires_grad_()
        attention(*arguments).square().sum().backward()
        for what, tensor in zip(("queries", "keys", "values"), arguments, strict=False):
            assert tensor.grad is not None and tensor.grad.isfinite().all(), (
                f"the {what}' gradient is not finite"
            )
        for key, parameter in attention.named_parameters():
            assert parameter.grad is not None and parameter.grad.isfinite().all(), (
                f"no gradient reaches {key}"
            )


def lets_no_gradient_back_in_time(name: str) -> None:
    """With ``causal=True`` no step depends on a later one."""
    attention, arguments = _attention(name, causal=True), _arguments(name)[:3]
    position = _arguments(name)[3:]
    for tensor in arguments:
        tensor.requires_grad_()
    out = attention(*arguments, *position)
    for step in range(LENGTH):
        found = torch.autograd.grad(out[:, :, step].sum(), arguments, retain_graph=True, allow_unused=True)
        later = [g is not None and g[:, :, step + 1 :].count_nonzero() > 0 for g in found]
        assert not any(later), f"step {step} depends on a later one"


def repeats_itself_in_evaluation(name: str) -> None:
    """In evaluation it uses no random numbers of torch and repeats itself."""
    attention, arguments = _attention(name), _arguments(name)
    before = torch.get_rng_state()
    first = attention(*arguments)
    assert torch.equal(torch.get_rng_state(), before), "it draws from torch's global generator"
    assert torch.equal(attention(*arguments), first), "a second call gives a different result"


def samples_by_its_generator_alone(name: str) -> None:
    """In training, without dropout, it repeats itself after ``resample`` with the same generator."""
    arguments = _arguments(name)

    def outputs(seed: int) -> Tensor:
        torch.manual_seed(seed + 100)  # must not matter
        attention = _attention(name).train()
        for part in attention.modules():
            resample: Any = getattr(part, "resample", None)
            if resample is not None:
                resample(torch.Generator().manual_seed(1))
        with torch.no_grad():
            for parameter in attention.parameters():
                parameter.fill_(0.5)
        return attention(*arguments)

    assert torch.equal(outputs(0), outputs(1)), "its output depends on torch's global generator"


def stays_on_the_device_of_its_input(name: str) -> None:
    """Its output is on the device of its input, as on a GPU; costs are counted on torch's meta device."""
    for causal in (False, True):
        attention = _attention(name, causal).to("meta")
        out = attention(*(tensor.to("meta") for tensor in _arguments(name)))
        assert out.device.type == "meta", f"the output is on {out.device}"


def declares_what_its_constructor_takes(name: str) -> None:
    """Its settings, read from the source, are its keyword-only arguments with their defaults."""
    constructor = registry.load("attention", name).Attention.__init__
    found = [p for p in inspect.signature(constructor).parameters.values() if p.kind is p.KEYWORD_ONLY]
    read = declared.settings("attention", name)
    here, there = [(p.name, p.default) for p in found], [(n, s.default) for n, s in read.items()]
    assert here == there, f"the constructor has {here}, the source says {there}"


CHECKS = (
    gives_values_for_queries,
    keeps_examples_apart,
    passes_finite_gradients,
    lets_no_gradient_back_in_time,
    repeats_itself_in_evaluation,
    samples_by_its_generator_alone,
    stays_on_the_device_of_its_input,
    declares_what_its_constructor_takes,
)
SLOW = ()


def _attention(name: str, causal: bool = False, dtype: torch.dtype = torch.float64) -> nn.Module:
    made: nn.Module = registry.load("attention", name).Attention(length=LENGTH, causal=causal)
    return made.eval().to(dtype)


def _arguments(name: str, dtype: torch.dtype = torch.float64) -> Arguments:
    generator = torch.Generator().manual_seed(7)
    shapes = [(BATCH, HEADS, LENGTH, KEY), (BATCH, HEADS, LENGTH, KEY), (BATCH, HEADS, LENGTH, VALUE)]
    if flag("attention", name, "POSITION_INSIDE"):
        shapes += [(HEADS, LENGTH, KEY)] * 2  # type: ignore[list-item]
    return [torch.randn(shape, dtype=torch.float64, generator=generator).to(dtype) for shape in shapes]
