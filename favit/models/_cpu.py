"""Other routes to the same numbers that a CPU takes: all of them, their one switch, and what each gains.

``ROUTES`` names those that are taken; without a name a CPU goes the way of a GPU. They round differently, so that
a run's last digits depend on them. What each gains is measured by ``benchmarks/bench_cpu.py``: how many times as
long a training step takes without it.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

ROUTES = {"convolutions", "few keys", "parts", "kept memory"}

_ONEDNN = torch.backends.mkldnn.is_available()


def takes(route: str, x: Tensor) -> bool:
    """Whether ``x`` is on a CPU, not under autocast and not being compiled, and the route is switched on."""
    plain = x.is_cpu and not torch.is_autocast_enabled("cpu") and not torch.compiler.is_compiling()
    return plain and route in ROUTES


# -- convolutions: matrix products in single precision as 1 x 1 convolutions -------------------------------
# torch hands the former to MKL, which leaves half of the vector width of AMD's processors unused, the latter to
# oneDNN, which does not. Nothing is copied: tokens with their channels are, in memory, a channels-last image.


def linear(x_bli: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``F.linear`` of sequences: (B, L, inputs) to (B, L, outputs); of other shapes in the usual way."""
    convolves = x_bli.is_cpu and _ONEDNN and "convolutions" in ROUTES
    if x_bli.dim() != 3 or x_bli.dtype != torch.float32 or not convolves:
        return F.linear(x_bli, weight, bias)
    return _convolve(x_bli[:, :, None], weight, bias).flatten(1, 2)


def pointwise(x_bhwi: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``F.linear`` of maps: (B, H, W, inputs) to (B, H, W, outputs)."""
    if x_bhwi.dtype != torch.float32 or not takes("convolutions", x_bhwi):
        return F.linear(x_bhwi, weight, bias)
    return _convolve(x_bhwi, weight, bias)


def _convolve(x_bhwi: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    y_bohw = F.conv2d(x_bhwi.permute(0, 3, 1, 2), weight[:, :, None, None], bias)
    return y_bohw.permute(0, 2, 3, 1)


# -- few keys: attention of many queries to some 50 keys of 4 to 40 channels ----------------------------------


def attends_to_few_keys(x: Tensor) -> bool:
    """Whether ``attend_to_few_keys`` is for this tensor, also under autocast."""
    return x.is_cpu and not torch.compiler.is_compiling() and "few keys" in ROUTES


def attend_to_few_keys(q_bnhc: Tensor, k_bhmc: Tensor, v_bhmc: Tensor) -> Tensor:
    """What scaled_dot_product_attention computes, as (B, N, h c), in single precision or better."""
    # In 16 bits a CPU gains nothing on products this thin, and softmax loses digits
    dtype = torch.promote_types(q_bnhc.dtype, torch.float32)
    with torch.autocast("cpu", enabled=False):
        return _FewKeys.apply(*(x.to(dtype) for x in (q_bnhc, k_bhmc, v_bhmc))).to(q_bnhc.dtype)


class _FewKeys(torch.autograd.Function):
    """Queries are the innermost axis, so that every product and the softmax over keys run along the one long axis.

    Its backward computes the gradients of keys and values transposed, twice as fast as autograd's order.
    """

    @staticmethod
    def forward(ctx: Any, q_bnhc: Tensor, k_bhmc: Tensor, v_bhmc: Tensor) -> Tensor:
        batch, length, heads, channels = q_bnhc.shape
        q_xcn = q_bnhc.permute(0, 2, 3, 1).reshape(-1, channels, length)  # x: images times heads
        k_xmc = k_bhmc.flatten(0, 1) * channels**-0.5
        v_xmc = v_bhmc.flatten(0, 1)
        scores_xmn = torch.bmm(k_xmc, q_xcn)
        p_xmn = torch.softmax(scores_xmn, dim=1, out=scores_xmn)
        ctx.save_for_backward(q_xcn, k_xmc, v_xmc, p_xmn)
        ctx.heads = heads
        return torch.bmm(v_xmc.transpose(1, 2), p_xmn).view(batch, -1, length).transpose(1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_bnc: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q_xcn, k_xmc, v_xmc, p_xmn = ctx.saved_tensors
        channels = q_xcn.shape[1]
        grad_xcn = grad_bnc.transpose(1, 2).reshape(q_xcn.shape)
        grad_v_xcm = torch.bmm(grad_xcn, p_xmn.transpose(1, 2))
        grad_p_xmn = torch.bmm(v_xmc, grad_xcn)
        grad_s_xmn = torch.ops.aten._softmax_backward_data.out(
            grad_p_xmn, p_xmn, 1, p_xmn.dtype, grad_input=grad_p_xmn
        )
        grad_k_xcm = torch.bmm(q_xcn, grad_s_xmn.transpose(1, 2)) * channels**-0.5
        grad_q_xcn = torch.bmm(k_xmc.transpose(1, 2), grad_s_xmn)
        return (
            grad_q_xcn.unflatten(0, (-1, ctx.heads)).permute(0, 3, 1, 2),
            grad_k_xcm.unflatten(0, (-1, ctx.heads)).transpose(2, 3),
            grad_v_xcm.unflatten(0, (-1, ctx.heads)).transpose(2, 3),
        )


# -- parts: a large hidden map for as many images at a time as stay in the caches ------------------------------

_LARGE_BYTES = 24 * 2**20  # of a hidden map that is computed in parts
_CACHED_BYTES = 13 * 2**19  # 6.5 MiB: of a part


def images_at_once(x_bhwc: Tensor, channels: int) -> int:
    """How many images of (B, H, W, C) to take at a time where each becomes a hidden map of so many channels.

    Computing hidden maps a second time in the backward pass is cheaper than fetching tens of megabytes from
    memory.
    """
    images, height, width, _ = x_bhwc.shape
    image_bytes = height * width * channels * x_bhwc.element_size()
    trains = takes("parts", x_bhwc) and torch.is_grad_enabled()
    if not trains or images * image_bytes <= _LARGE_BYTES:
        return images
    return max(1, _CACHED_BYTES // image_bytes)


# -- kept memory: freed activations serve the next step, as those of a GPU do -----------------------------------

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


def keep_freed_memory() -> None:
    """Keep blocks of tens of megabytes that glibc would hand back to the system and fetch again, page by page.

    Other C libraries are left as they are. No number depends on it.
    """
    if "kept memory" not in ROUTES:
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(_M_MMAP_THRESHOLD, 2**30)
    mallopt(_M_TRIM_THRESHOLD, -1)
