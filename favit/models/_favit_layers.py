"""The parts of FaViT (Qin et al. 2023, arXiv 2312.08614) around its attention; maps are (B, H, W, C)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from favit.models import _cpu
from favit.models._fasa import FaSA, depthwise
from favit.models._pointwise import Pointwise

_EPS = 1e-6  # of the LayerNorms in blocks and at stage ends; the others have torch's 1e-5


class PatchEmbed(nn.Module):
    """Overlapping patches: a strided convolution, then LayerNorm."""

    def __init__(self, inputs: int, dim: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(inputs, dim, kernel, stride=stride, padding=kernel // 2)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x_bchw: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, ceil(H / stride), ceil(W / stride), dim)."""
        return self.norm(self.proj(x_bchw).permute(0, 2, 3, 1))


class Mlp(nn.Module):
    """Linear, depthwise 3 x 3, GELU, linear."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = Pointwise(dim, hidden)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.act = nn.GELU()
        self.fc2 = Pointwise(hidden, dim)

    def forward(self, x_bhwc: Tensor) -> Tensor:
        """(B, H, W, C) to (B, H, W, C)."""
        at_once = _cpu.images_at_once(x_bhwc, self.fc1.out_features)
        if at_once >= len(x_bhwc):
            return self._whole(x_bhwc)
        parts = [
            checkpoint(self._whole, part, use_reentrant=False, preserve_rng_state=False)
            for part in x_bhwc.split(at_once)
        ]
        return torch.cat(parts)

    def _whole(self, x_bhwc: Tensor) -> Tensor:
        return self.fc2(self.act(depthwise(self.depthwise, self.fc1(x_bhwc))))


class Block(nn.Module):
    """FaSA and MLP, each after a LayerNorm and added to its input."""

    def __init__(self, dim: int, mlp_ratio: int, drop_path: nn.Module, attention: FaSA) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=_EPS)
        self.attn = attention
        self.norm2 = nn.LayerNorm(dim, eps=_EPS)
        self.mlp = Mlp(dim, mlp_ratio * dim)
        self.drop_path = drop_path

    def forward(self, x_bhwc: Tensor) -> Tensor:
        """(B, H, W, C) to (B, H, W, C)."""
        x_bhwc = x_bhwc + self.drop_path(self.attn(self.norm1(x_bhwc)))
        return x_bhwc + self.drop_path(self.mlp(self.norm2(x_bhwc)))


class Stage(nn.Module):
    """Patch embedding, position encoding (if any), blocks, LayerNorm."""

    def __init__(self, embed: PatchEmbed, encoding: nn.Module | None, blocks: list[Block], dim: int) -> None:
        super().__init__()
        self.embed = embed
        self.encoding = encoding
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(dim, eps=_EPS)
        self.grad_checkpointing = False

    def forward(self, x_bchw: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, dim, H / stride, W / stride), channels last in memory."""
        x_bhwc = self.embed(x_bchw)
        if self.encoding is not None:
            size = x_bhwc.shape[1:3]
            x_bhwc = x_bhwc + self.encoding(*size).unflatten(0, size)
        for block in self.blocks:
            if self.grad_checkpointing and self.training:
                x_bhwc = checkpoint(block, x_bhwc, use_reentrant=False)
            else:
                x_bhwc = block(x_bhwc)
        return self.norm(x_bhwc).permute(0, 3, 1, 2)
