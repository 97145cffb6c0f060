"""The hand-made routes that a CPU takes give what the plain ones give, in values and gradients."""

import pytest
import torch
from torch import nn

from favit.models import _cpu
from favit.models._attend import attend
from favit.models._favit_layers import Mlp
from favit.models._pointwise import Pointwise


def values_and_gradients(call, module, x):
    x = x.clone().requires_grad_()
    out = call(x)
    torch.manual_seed(1)
    return out, torch.autograd.grad(out, [x, *module.parameters()], torch.randn(out.shape))


@pytest.mark.parametrize("shape", [(2, 5, 7, 12), (16, 1, 1, 12), (1, 9, 9, 12)])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_pointwise_map_is_a_linear_map(shape, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)  # torch chooses its convolution by them
    try:
        layer, x = Pointwise(12, 20), torch.randn(shape)
        ours = values_and_gradients(layer, layer, x)
        plain = values_and_gradients(lambda x: nn.Linear.forward(layer, x), layer, x)
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-4)


def test_a_hidden_map_in_parts_is_the_whole(monkeypatch):
    mlp, x = Mlp(8, 32), torch.randn(5, 6, 7, 8)
    whole = values_and_gradients(mlp, mlp, x)
    sizes = []
    mlp.fc1.register_forward_hook(lambda module, arguments, _: sizes.append(len(arguments[0])))
    monkeypatch.setattr(_cpu, "_LARGE_BYTES", 0)
    monkeypatch.setattr(_cpu, "_CACHED_BYTES", 2 * 6 * 7 * 32 * 4)
    parts = values_and_gradients(mlp, mlp, x)
    assert sorted(sizes) == sorted([2, 2, 1] * 2)  # forward, and again in the backward pass
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-5)
    sizes.clear()
    with torch.no_grad():
        mlp(x)
    assert sizes == [5]


def test_attention_under_autocast_is_computed_in_single_precision():
    q, k, v = (torch.randn(2, n, 3, 4, dtype=torch.bfloat16) for n in (20, 49, 49))
    k, v = k.transpose(1, 2), v.transpose(1, 2)
    with torch.autocast("cpu", torch.bfloat16):
        ours = attend(q, k, v)
    expected = attend(*(x.double() for x in (q, k, v)))
    assert ours.dtype == torch.bfloat16
    # One rounding, at the end: half a unit in the last of 8 binary digits
    torch.testing.assert_close(ours.double(), expected, rtol=2**-8, atol=1e-6)
