"""FaViT B0 to B3 with a choice of cross-window aggregator, registered with timm.

Qin et al. 2023, "Factorization Vision Transformer: Modeling Long Range Dependency with Local Window Cost",
arXiv 2312.08614. The aggregator ``published`` computes what the authors' code computes; it is not what their
paper describes, see ``favit/aggregators/published.py``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import favit.models._torchvision_cpu  # noqa: F401  (before timm, which imports torchvision)

# isort: split

import torch
from timm.layers.drop import DropPath
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

from favit.components import registry
from favit.components.checks import check_shapes
from favit.components.flags import flag
from favit.components.flat import own
from favit.models._fasa import FaSA, GroupedLinear, MakeAggregator
from favit.models._favit_checkpoint import allow_listed, checkpoint_filter_fn
from favit.models._favit_layers import Block, PatchEmbed, Stage

TASK = "classification"
AGGREGATORS = "aggregators"
VARIANTS = ("favit_b0", "favit_b1", "favit_b2", "favit_b3")

SMALLEST = 32  # pixels a side: below, a map is smaller than the kernel that reduces it


def check_settings(image_size: int) -> None:
    """``ValueError`` for images that the first convolutions cannot reduce."""
    if image_size < SMALLEST:
        raise ValueError(
            f"image_size is {image_size}; FaViT takes images of {SMALLEST} pixels a side and larger"
        )


@dataclass(frozen=True)
class Shape:
    """The shape of a variant: channels and blocks of the four stages."""

    widths: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]
    heads: tuple[int, int, int, int] = (1, 2, 4, 8)
    mlp_ratios: tuple[int, int, int, int] = (8, 6, 4, 4)
    reductions: tuple[int, int, int, int] = (8, 4, 2, 1)


SHAPES = {
    "favit_b0": Shape((32, 64, 128, 256), (2, 2, 6, 2)),
    "favit_b1": Shape((64, 128, 256, 512), (2, 2, 6, 2)),
    "favit_b2": Shape((64, 128, 256, 512), (2, 3, 18, 3)),
    "favit_b3": Shape((96, 192, 384, 768), (2, 3, 14, 3)),
}


class FaViT(nn.Module):
    """The classifier; ``timm.create_model("favit_b0", ...)`` makes one.

    ``img_size`` is the height and width that images will have. Any size from 32 pixels works with any
    ``img_size``, but for the aggregators whose weights depend on the number of windows (``linear``,
    ``pointwise_conv``), which answer another number with ``ValueError``.
    """

    def __init__(
        self,
        shape: Shape,
        num_classes: int = 1000,
        in_chans: int = 3,
        img_size: int | tuple[int, int] = 224,
        aggregator: str = "published",
        aggregator_settings: Mapping[str, Any] | None = None,
        encoding: str = "none",
        encoding_settings: Mapping[str, Any] | None = None,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__()
        height, width = (img_size, img_size) if isinstance(img_size, int) else img_size
        _check_size(height, width)
        make_aggregator = _aggregator_maker(aggregator, aggregator_settings or {})
        self.in_chans, self.num_classes = in_chans, num_classes
        self.global_pool = _checked_pool(global_pool)
        self.num_features = self.head_hidden_size = shape.widths[-1]
        self.feature_info = []
        rates = iter(torch.linspace(0, drop_path_rate, sum(shape.depths), device="cpu").tolist())
        stages, inputs, reduction = [], in_chans, 1
        for i, dim in enumerate(shape.widths):
            kernel, stride = (7, 4) if i == 0 else (3, 2)
            height, width, reduction = -(-height // stride), -(-width // stride), reduction * stride
            blocks = []
            for _ in range(shape.depths[i]):
                attention = FaSA(dim, shape.heads[i], shape.reductions[i], (height, width), make_aggregator)
                blocks.append(Block(dim, shape.mlp_ratios[i], _drop_path(next(rates)), attention))
            position = _encoding(encoding, dim, (height, width), encoding_settings or {})
            stages.append(Stage(PatchEmbed(inputs, dim, kernel, stride), position, blocks, dim))
            self.feature_info.append({"num_chs": dim, "reduction": reduction, "module": f"stages.{i}"})
            inputs = dim
        self.stages = nn.Sequential(*stages)
        self.head_drop = nn.Dropout(drop_rate)
        self.head = _head(self.num_features, num_classes)
        _initialise(self)

    def forward_features(self, x_bchw: Tensor) -> Tensor:
        """Images (B, channels, H, W) to the last stage's map (B, C, ceil(H / 32), ceil(W / 32))."""
        check_shapes("FaViT", "images channels height width", x_bchw, channels=self.in_chans)
        _check_size(x_bchw.shape[2], x_bchw.shape[3])
        return self.stages(x_bchw)

    def forward_head(self, x_bchw: Tensor, pre_logits: bool = False) -> Tensor:
        """Map (B, C, H, W) to logits (B, classes), or to its mean (B, C) with ``pre_logits``."""
        x = x_bchw.mean(dim=(2, 3)) if self.global_pool else x_bchw
        x = self.head_drop(x)
        return x if pre_logits else self.head(x)

    def forward(self, x_bchw: Tensor) -> Tensor:
        """Images (B, channels, H, W) to logits (B, classes)."""
        return self.forward_head(self.forward_features(x_bchw))

    def no_weight_decay(self) -> set[str]:
        """Parameters besides biases and norms that are not decayed: those of encodings."""
        return {name for name, _ in self.named_parameters() if ".encoding." in name}

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Patterns by which timm forms layer groups."""
        blocks = [(r"^stages\.(\d+)\.blocks\.(\d+)", None), (r"^stages\.(\d+)", (0,))]
        return {"stem": r"^stages\.0\.embed", "blocks": r"^stages\.(\d+)" if coarse else blocks}

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute each block's activations in the backward pass instead of keeping them."""
        for stage in self.stages:
            assert isinstance(stage, Stage)
            stage.grad_checkpointing = enable

    def get_classifier(self) -> nn.Module:
        """The last linear layer."""
        return self.head

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """A new head; none with 0 classes. ``global_pool`` '' keeps the map, 'avg' takes its mean."""
        self.num_classes = num_classes
        if global_pool is not None:
            self.global_pool = _checked_pool(global_pool)
        like = next(self.parameters())
        self.head = _head(self.num_features, num_classes).to(like.device, like.dtype)
        _initialise(self.head)


def build(run: Mapping[str, Any], facts: Mapping[str, Any]) -> nn.Module:
    """The model of a run, from its keys ``model``, ``aggregator``, ``encoding``, ``image_size``, ``drop_path``."""
    return _create(
        run["model"],
        pretrained=False,
        num_classes=facts["classes"],
        img_size=run["image_size"],
        drop_path_rate=run["drop_path"],
        aggregator=run["aggregator"],
        aggregator_settings=own(run, "aggregator"),
        encoding=run["encoding"],
        encoding_settings=own(run, "encoding"),
    )


def _aggregator_maker(name: str, settings: Mapping[str, Any]) -> MakeAggregator:
    return partial(registry.load("aggregators", name).Aggregator, **settings)


def _encoding(name: str, dim: int, grid: tuple[int, int], settings: Mapping[str, Any]) -> nn.Module | None:
    module = registry.load("encodings", name)
    if not flag("encodings", name, "IMAGES"):
        valid = [other for other in registry.names("encodings") if flag("encodings", other, "IMAGES")]
        raise ValueError(f"encoding '{name}' is not for images; valid: {', '.join(valid)}")
    return module.Encoding(dim, grid=grid, **settings) if flag("encodings", name, "ADDS_POSITION") else None


def _check_size(height: int, width: int) -> None:
    if min(height, width) < SMALLEST:
        raise ValueError(
            f"FaViT: expected (images channels height width) with height, width >= {SMALLEST}; "
            f"got height, width = {height}, {width}"
        )


def _checked_pool(global_pool: str) -> str:
    if global_pool not in ("avg", ""):
        raise ValueError(f"unknown global_pool '{global_pool}'; valid: 'avg', '' (none)")
    return global_pool


def _drop_path(rate: float) -> nn.Module:
    """Stochastic depth (Huang et al. 2016) of one block's branches."""
    return DropPath(rate) if rate else nn.Identity()


def _head(inputs: int, classes: int) -> nn.Module:
    return nn.Linear(inputs, classes) if classes else nn.Identity()


def _initialise(root: nn.Module) -> None:
    """The authors' initialisation: linear maps 0.02, convolutions by fan-out; aggregators bring their own."""
    own = {m for a in root.modules() if isinstance(a, FaSA) for m in a.aggregators.modules()}
    for module in root.modules():
        if module in own:
            continue
        if isinstance(module, (nn.Linear, GroupedLinear)):
            nn.init.trunc_normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Conv2d):
            fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
            nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _create(variant: str, pretrained: bool = False, **kwargs: Any) -> nn.Module:
    with allow_listed():
        return build_model_with_cfg(
            FaViT,
            variant,
            pretrained,
            shape=SHAPES[variant],
            pretrained_filter_fn=checkpoint_filter_fn,
            feature_cfg={"out_indices": (0, 1, 2, 3), "flatten_sequential": True},
            **kwargs,
        )


default_cfgs = generate_default_cfgs(
    {
        variant: {
            "num_classes": 1000,
            "input_size": (3, 224, 224),
            "pool_size": (7, 7),
            "crop_pct": 0.9,
            "interpolation": "bicubic",
            "mean": (0.485, 0.456, 0.406),
            "std": (0.229, 0.224, 0.225),
            "first_conv": "stages.0.embed.proj",
            "classifier": "head",
            "license": "unknown",
        }
        for variant in VARIANTS
    }
)


@register_model
def favit_b0(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """3.4 M parameters, 0.6 G multiply-accumulates."""
    return _create("favit_b0", pretrained, **kwargs)


@register_model
def favit_b1(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """13.0 M parameters, 2.3 G multiply-accumulates."""
    return _create("favit_b1", pretrained, **kwargs)


@register_model
def favit_b2(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """24.9 M parameters, 4.5 G multiply-accumulates."""
    return _create("favit_b2", pretrained, **kwargs)


@register_model
def favit_b3(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """48.7 M parameters, 8.5 G multiply-accumulates."""
    return _create("favit_b3", pretrained, **kwargs)
