"""Other routes to the same numbers that a CPU takes: all of them, their one switch, and what each gains.

``ROUTES`` names those that are taken; without a name a CPU goes the way of a GPU. All but kept memory round
differently, so that a run's last digits depend on them. What each gains was measured by ``benchmarks/bench_cpu.py``
as how many times as long a training step takes without it: FaViT-B0, 8 images of 224 pixels; Informer, 32 windows;
one thread of a third-generation AMD EPYC, which has AVX2 but not AVX-512, shared with other programs.

| route | FaViT-B0 | Informer | |
| --- | --- | --- | --- |
| convolutions | 1.04 | 0.61 | a loss there; about 2 on an AMD EPYC with AVX-512 |
| few keys | 0.97 | | the operation by itself 1.2 to 1.5 |
| parts | 0.94 | | a loss of time there; memory is what it saves |
| kept memory | 1.01 | 1.07 | |
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
    """What scaled_dot_product_attention computes, as (B, N, h c), in single precision or better.

    Queries are the innermost axis, so that every product and the softmax over keys run along the one long axis.
    """
    # In 16 bits a CPU gains nothing on products this thin, and softmax loses digits
    dtype = torch.promote_types(q_bnhc.dtype, torch.float32)
    batch, length, _, channels = q_bnhc.shape
    with torch.autocast("cpu", enabled=False):
        q_xcn = q_bnhc.to(dtype).permute(0, 2, 3, 1).reshape(-1, channels, length)  # x: images times heads
        k_xmc, v_xmc = (x.to(dtype).flatten(0, 1) for x in (k_bhmc, v_bhmc))
        p_xmn = _Scores.apply(k_xmc * channels**-0.5, q_xcn).softmax(1)
        out_bcn = torch.bmm(v_xmc.transpose(1, 2), p_xmn).view(batch, -1, length)
        return out_bcn.transpose(1, 2).to(q_bnhc.dtype)


class _Scores(torch.autograd.Function):
    """A product whose backward computes the keys' gradient transposed, twice as fast as autograd's order."""

    @staticmethod
    def forward(ctx: Any, k_xmc: Tensor, q_xcn: Tensor) -> Tensor:
        ctx.save_for_backward(k_xmc, q_xcn)
        return torch.bmm(k_xmc, q_xcn)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_xmn: Tensor) -> tuple[Tensor, Tensor]:
        k_xmc, q_xcn = ctx.saved_tensors
        grad_k_xcm = torch.bmm(q_xcn, grad_xmn.transpose(1, 2))
        return grad_k_xcm.transpose(1, 2), torch.bmm(k_xmc.transpose(1, 2), grad_xmn)


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
