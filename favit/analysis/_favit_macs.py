"""The multiply-accumulates of FaViT by formula: a second, independent count.

Qin et al. 2023, section 3.2, written out. One image; H x W is a stage's map, C its channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

WINDOW = 49
VARIANTS = {  # widths, depths
    "favit_b0": ((32, 64, 128, 256), (2, 2, 6, 2)),
    "favit_b1": ((64, 128, 256, 512), (2, 2, 6, 2)),
    "favit_b2": ((64, 128, 256, 512), (2, 3, 18, 3)),
    "favit_b3": ((96, 192, 384, 768), (2, 3, 14, 3)),
}
_HEADS, _MLP_RATIOS, _REDUCTIONS = (1, 2, 4, 8), (8, 6, 4, 4), (8, 4, 2, 1)


def favit_macs(variant: str, size: tuple[int, int], classes: int, aggregator: str, factor: int = 1) -> int:
    """Multiply-accumulates of one image of ``size`` (height, width) pixels.

    ``factor`` is ProbSparse's; its measure is the sampled one, its pool the mean. Adding positions costs none.
    """
    widths, depths = VARIANTS[variant]
    total, inputs, (height, width) = 0, 3, size
    for stage, channels in enumerate(widths):
        kernel, stride = (7, 4) if stage == 0 else (3, 2)
        height, width = -(-height // stride), -(-width // stride)
        embed = height * width * kernel**2 * inputs * channels
        heads, reduction = _HEADS[stage], _REDUCTIONS[stage]
        attention = fasa_macs(channels, heads, reduction, (height, width), aggregator, factor)
        mlp = height * width * _MLP_RATIOS[stage] * channels * (2 * channels + 9)
        total += embed + depths[stage] * (attention + mlp)
        inputs = channels
    return total + widths[-1] * classes


def fasa_macs(
    channels: int, heads: int, reduction: int, size: Sequence[int], aggregator: str, factor: int
) -> int:
    """One attention: query and output projections, global group, dilated groups."""
    tokens = size[0] * size[1]
    dilations = (1,) if reduction == 1 else (1, reduction)
    coarse = channels // 8
    fine = channels - coarse
    head = fine // (heads * len(dilations))
    reduced = (size[0] // reduction) * (size[1] // reduction)
    projections = 2 * tokens * channels**2
    global_group = reduced * coarse * (reduction**2 * coarse + 2 * coarse + 9) + 2 * tokens * reduced * coarse
    shared = tokens * fine * (9 + fine)  # depthwise, then pointwise, for all dilated groups
    total = projections + global_group + shared
    for dilation in dilations:
        windows = math.prod(-(-n // (6 * dilation + 1)) for n in size)
        total += aggregator_macs(aggregator, heads, windows, head, tokens, factor)
        total += heads * WINDOW * head * (head + 2 * head + 9) + 2 * tokens * WINDOW * heads * head
    return total


def aggregator_macs(
    aggregator: str, heads: int, windows: int, channels: int, queries: int, factor: int
) -> int:
    """One head group's fusion. Means, maxima, and taking samples at random or none multiply nothing."""
    if aggregator in ("published", "avg_pool", "max_pool", "random", "zero"):
        return 0
    if aggregator in ("linear", "pointwise_conv"):
        return heads * WINDOW * windows * channels**2
    if aggregator == "probsparse":
        return 0 if windows == 1 else _selection_macs(heads, windows * WINDOW, channels, queries, factor)
    if aggregator == "top_norm":
        keys = windows * WINDOW
        return 0 if windows == 1 else _fold_macs(channels) + heads * keys * channels * (channels + 1)
    raise ValueError(f"no formula for the aggregator '{aggregator}'")


def _selection_macs(heads: int, keys: int, channels: int, queries: int, factor: int) -> int:
    sampled = min(keys, 5 * math.ceil(math.log(keys)))
    to_keys = heads * sampled * channels**2
    measure = heads * queries * sampled * (channels + 1)  # scores, then P log P
    score = heads * channels**2 + heads * keys * channels  # the pooled query folded, then against all samples
    return _fold_macs(channels) + to_keys + measure + score


def _fold_macs(channels: int) -> int:
    """Both projections of a token, weight and bias, folded into one map to its key, once a batch."""
    return channels**3 + channels**2
