"""Factorization self-attention (FaSA; Qin et al. 2023, section 3.2).

Shapes: B images, H x W a map, N = H W tokens, C channels; G dilated groups of h heads with c channels each.
Maps are (B, H, W, C) throughout.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from einops import rearrange
from torch import Tensor, nn

from favit.models._attend import attend
from favit.models._fasa_windows import WINDOW, Windows, windows_along
from favit.models._pointwise import Pointwise

MakeAggregator = Callable[[int, int, int], nn.Module]  # channels, heads, windows -> aggregator


class FaSA(nn.Module):
    """Attention of every token to a coarse view of the whole map and to the fused windows of dilated groups.

    Of 16 channels 2 form the global group, 7 the local one (dilation 1) and 7 the dilated one (dilation equal
    to the reduction); where the reduction is 1, of 8 channels 1 and 7 form a global and a local group.
    """

    def __init__(
        self, dim: int, heads: int, reduction: int, size: tuple[int, int], make_aggregator: MakeAggregator
    ) -> None:
        super().__init__()
        dilations = (1,) if reduction == 1 else (1, reduction)
        self.heads, self.groups = heads, len(dilations)
        self.coarse = dim // 8
        fine = dim - self.coarse
        self.head_dim = fine // (heads * self.groups)
        self.q = Pointwise(dim, dim)
        self.global_group = GlobalGroup(self.coarse, reduction)
        self.depthwise = nn.Conv2d(fine, fine, 3, padding=1, groups=fine)
        self.pointwise = Pointwise(fine, fine)
        self.windows = nn.ModuleList(Windows(size, dilation) for dilation in dilations)
        self.aggregators = nn.ModuleList()
        for dilation in dilations:
            count = windows_along(size[0], dilation) * windows_along(size[1], dilation)
            self.aggregators.append(make_aggregator(self.head_dim, heads, count))
        self.fuse = GroupedLinear(self.groups, self.head_dim, self.head_dim)
        self.kv = GroupedLinear(self.groups, self.head_dim, 2 * self.head_dim)
        self.local = nn.Conv2d(fine, fine, 3, padding=1, groups=fine)
        self.proj = Pointwise(dim, dim)

    def forward(self, x_bhwc: Tensor) -> Tensor:
        """(B, H, W, C) to (B, H, W, C)."""
        channels = (self.coarse, x_bhwc.shape[3] - self.coarse)
        q_coarse, q_fine = self.q(x_bhwc).flatten(1, 2).split(channels, dim=2)
        x_coarse, x_fine = x_bhwc.split(channels, dim=3)
        coarse_bnc = self.global_group(q_coarse, x_coarse)
        fine_bnc = self._dilated_groups(q_fine, x_fine)
        return self.proj(torch.cat((coarse_bnc, fine_bnc), dim=2).unflatten(1, x_bhwc.shape[1:3]))

    def _dilated_groups(self, q_bnc: Tensor, x_bhwc: Tensor) -> Tensor:
        """Queries (B, N, h G c) and map (B, H, W, G h c) to (B, N, h G c).

        Heads outside groups in queries and result, groups outside heads in the map: the authors' order of the
        query's channels, which makes the heads of all groups one batch without moving the queries.
        """
        q_bnhgc = q_bnc.unflatten(2, (self.heads, self.groups, self.head_dim))
        map_bhwc = self.pointwise(depthwise(self.depthwise, x_bhwc))
        fused = [self._fused(g, part, q_bnhgc) for g, part in enumerate(map_bhwc.chunk(self.groups, dim=3))]
        kv_gmc = self.kv(self.fuse(torch.stack(fused).flatten(1, 3)))
        batch = q_bnc.shape[0]
        k_gmc, v_gmc = kv_gmc.chunk(2, dim=2)
        shape = {"b": batch, "h": self.heads}
        k = rearrange(k_gmc, "g (b h p) c -> b (h g) p c", **shape)
        v_bpc = rearrange(v_gmc, "g (b h p) c -> b p (g h c)", **shape)
        v_bpc = v_bpc + depthwise(self.local, v_bpc.unflatten(1, (WINDOW, WINDOW))).flatten(1, 2)
        v = rearrange(v_bpc, "b p (g h c) -> b (h g) p c", g=self.groups, h=self.heads)
        return attend(q_bnhgc.flatten(2, 3), k, v)

    def _fused(self, group: int, map_bhwc: Tensor, q_bnhgc: Tensor) -> Tensor:
        """The fused tokens (B, h, 49, c) of one group."""
        windows = self.windows[group]
        assert isinstance(windows, Windows)
        samples = windows(map_bhwc, self.heads)
        queries = q_bnhgc[:, :, :, group].transpose(1, 2)
        grid = windows.grid((map_bhwc.shape[1], map_bhwc.shape[2]))
        return self.aggregators[group](samples, queries, lambda: self.key_map(group), grid)

    def key_map(self, group: int) -> tuple[Tensor, Tensor]:
        """Weight (c, c) and bias (c,) of the map from a group's fused token to its key, both projections in one."""
        fuse_weight, fuse_bias = self.fuse.map_of_group(group)
        kv_weight, kv_bias = self.kv.map_of_group(group)
        k_weight, k_bias = kv_weight[: self.head_dim], kv_bias[: self.head_dim]
        return k_weight @ fuse_weight, k_weight @ fuse_bias + k_bias


class GlobalGroup(nn.Module):
    """One head over keys and values from a map reduced by a convolution with kernel and stride ``reduction``."""

    def __init__(self, dim: int, reduction: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(dim, dim, reduction, stride=reduction)
        self.norm = nn.LayerNorm(dim)
        self.kv = nn.Linear(dim, 2 * dim)
        self.local = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)

    def forward(self, q_bnc: Tensor, x_bhwc: Tensor) -> Tensor:
        """Queries (B, N, c) and map (B, H, W, c) to (B, N, c)."""
        reduced_bhwc = self.reduce(x_bhwc.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        k_bhwc, v_bhwc = self.kv(self.norm(reduced_bhwc)).chunk(2, dim=3)
        v_bhwc = v_bhwc + depthwise(self.local, v_bhwc)
        k, v = (rearrange(x, "b h w c -> b 1 (h w) c") for x in (k_bhwc, v_bhwc))
        return attend(q_bnc.unsqueeze(2), k, v)


class GroupedLinear(nn.Module):
    """One linear map a group: (G, M, inputs) to (G, M, outputs). Weights are stacked group after group."""

    def __init__(self, groups: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.groups = groups
        self.weight = nn.Parameter(torch.empty(groups * outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(groups * outputs))
        nn.init.trunc_normal_(self.weight, std=0.02)

    def forward(self, x_gmc: Tensor) -> Tensor:
        """(G, M, inputs) to (G, M, outputs)."""
        weight_goi = self.weight.unflatten(0, (self.groups, -1))
        bias_g1o = self.bias.view(self.groups, 1, -1)
        return torch.baddbmm(bias_g1o, x_gmc, weight_goi.transpose(1, 2))

    def map_of_group(self, group: int) -> tuple[Tensor, Tensor]:
        """One group's weight (outputs, inputs) and bias (outputs,)."""
        return self.weight.chunk(self.groups)[group], self.bias.chunk(self.groups)[group]


def depthwise(conv: nn.Conv2d, x_bhwc: Tensor) -> Tensor:
    """A convolution of maps (B, H, W, C), which are channels-last images."""
    return conv(x_bhwc.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
