"""The settings of training, each with its type, default, bounds and meaning.

Read without torch by whoever checks a configuration; in training a run's flat settings are parsed into these
once. A run's JSON always states all of them; paths, device and workers are none of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, TypeVar

from favit.components.bounds import AtLeast, AtMost, Below
from favit.components.neutral import Neutral

Parsed = TypeVar("Parsed")


@dataclass(frozen=True)
class Optimisation:
    """Settings of both tasks: the optimizer, its schedule, and how numbers are computed."""

    seed: Annotated[int, AtLeast(0), AtMost(4294967295)] = 0
    """Seed of initial weights, order, augmentation, dropout and sampling."""
    epochs: Annotated[int, AtLeast(1), AtMost(1000000)] = 300
    """Passes over the training data."""
    batch_size: Annotated[int, AtLeast(1), AtMost(1000000)] = 128
    """Examples per step, over all processes together."""
    micro_batch_size: Annotated[int, AtLeast(0), AtMost(1000000), Neutral(0)] = 0
    """Examples of a process per forward pass, with gradients accumulated over its share of a batch; 0: all of it.
    Steps equal those of batch_size up to rounding, except for batch norms, which see only so many at a time."""
    activation_checkpointing: Annotated[bool, Neutral(False)] = False
    """Recompute each block's activations in the backward pass instead of storing them; numbers stay the same."""
    optimizer: Literal[
        "adamw", "adam",
        "adabelief", "adadelta", "adafactor", "adafactorbv", "adafactorbvc", "adagrad", "adamax", "adamc",
        "adamp", "adamuon", "adamwlegacy", "adan", "adanw", "adopt", "adoptc", "adoptw", "cadafactor",
        "cadafactorbv", "cadafactorbvc", "cadamc", "cadamp", "cadamw", "cadan", "cadanw", "cadopt",
        "cadoptc", "cadoptw", "clamb", "clambw", "claprop", "clion", "clionc", "cmars", "cnadamc",
        "cnadamw", "crmsproptf", "csgdc", "csgdp", "csgdw", "lamb", "lambc", "lambcd", "lambcw", "lambw",
        "laprop", "lapropc", "larc", "lars", "lion", "lionc", "madgrad", "madgradw", "mars", "momentum",
        "muon", "nadam", "nadamc", "nadamlegacy", "nadamuon", "nadamw", "nesterov", "nesterovw", "nlarc",
        "nlars", "nmuon", "novograd", "novogradc", "novogradw", "radabelief", "radam", "radamlegacy",
        "radamw", "rmsprop", "rmsproptf", "rmsproptfc", "rmsproptfw", "sgd", "sgdc", "sgdp", "sgdw",
    ] = "adamw"  # fmt: skip
    """Update rule: AdamW decays weights separately from the gradient, Adam through it. The others are timm's, with its
    defaults: those that resume exactly, on CPU and GPU."""
    lr: Annotated[float, AtLeast(0.0)] = 1e-3
    """Peak learning rate of the schedule."""
    lr_batch: Annotated[int, AtLeast(0)] = 0
    """Batch size that lr is meant for: lr is scaled by batch_size / lr_batch; 0: not scaled."""
    weight_decay: Annotated[float, AtLeast(0.0)] = 0.05
    """Weight decay, without biases, norms and encodings."""
    decay_all: bool = False
    """Also decay biases, norms and encodings."""
    schedule: Literal["warmup_cosine", "deit_cosine", "halving", "constant"] = "warmup_cosine"
    """Schedule of the learning rate over epochs."""
    warmup_epochs: Annotated[int, AtLeast(0)] = 10
    """Epochs of warm-up, in which a cosine schedule rises to lr."""
    warmup_lr: Annotated[float, AtLeast(-1.0)] = -1.0
    """Learning rate at the start of the warm-up, which then reaches lr after warmup_epochs; -1: lr / warmup_epochs,
    which reaches lr an epoch earlier."""
    cooldown_epochs: Annotated[int, AtLeast(0)] = 10
    """Last epochs, trained at cooldown_lr (warmup_cosine only)."""
    cooldown_lr: Annotated[float, AtLeast(-1.0)] = -1.0
    """Learning rate of the cool-down; -1: min_lr."""
    min_lr: Annotated[float, AtLeast(0.0)] = 1e-5
    """Learning rate at the end of a cosine."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Number format of the forward pass (autocast); weights stay float32."""
    tf32: bool = False
    """Allow TF32 for matrix products and convolutions on a GPU."""
    compile: bool = False
    """Compile the model with torch.compile."""
    fused: bool = True
    """Use the fused kernel of Adam and AdamW, on CPU and GPU."""
    deterministic: bool = False
    """Fail on operations that a GPU does not repeat bit for bit."""
    ema: Annotated[float, AtLeast(0.0), Below(1.0)] = 0.0
    """Decay of an exponential moving average of the weights, which is scored instead; 0: none."""
    clip_grad: Annotated[float, AtLeast(0.0)] = 0.0
    """Clip the norm of the gradient to this; 0: no clipping."""


@dataclass(frozen=True)
class Images:
    """Settings of image classification: size, augmentation and regularisation."""

    image_size: Annotated[int, AtLeast(1), AtMost(4096)] = 224
    """Side of the images that the model sees, in pixels."""
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    """Interpolation for resizing images."""
    crop_scale_min: Annotated[float, AtLeast(0.0), AtMost(1.0)] = 1.0
    """Smallest share of the image's area in a random resized crop; 1: no crop."""
    test_crop: Annotated[float, AtLeast(0.01), AtMost(1.0)] = 1.0
    """Share of the side of a resized test image that the central crop keeps."""
    normalise: Literal["dataset", "imagenet", "half"] = "dataset"
    """Mean and deviation to standardise pixels with: of the training images, of ImageNet, or 0.5 and 0.5."""
    repeats: Annotated[int, AtLeast(1)] = 1
    """Repeated augmentation: how often an image occurs in a row, each time augmented anew; epochs stay as long."""
    drop_last: bool = True
    """Drop the incomplete last batch of an epoch."""
    flip: Annotated[float, AtLeast(0.0), AtMost(1.0)] = 0.0
    """Probability of a horizontal flip."""
    color_jitter: Annotated[float, AtLeast(0.0)] = 0.0
    """Strength of random brightness, contrast and saturation; not with RandAugment."""
    randaugment: str = ""
    """RandAugment in timm's notation: m9-mstd0.5-inc1."""
    erasing: Annotated[float, AtLeast(0.0), AtMost(1.0)] = 0.0
    """Probability of random erasing with noise."""
    mixup: Annotated[float, AtLeast(0.0)] = 0.0
    """Alpha of mixup; 0: off."""
    cutmix: Annotated[float, AtLeast(0.0)] = 0.0
    """Alpha of CutMix; 0: off."""
    label_smoothing: Annotated[float, AtLeast(0.0), Below(1.0)] = 0.0
    """Share of the target spread over all classes."""
    drop_path: Annotated[float, AtLeast(0.0), Below(1.0)] = 0.0
    """Stochastic depth: rate of the last block, to which it rises linearly."""
    channels_last: bool = False
    """Store images in channels-last memory format."""
    limit_train: Annotated[int, AtLeast(0)] = 0
    """Use only the first so many training images; 0: all."""
    limit_test: Annotated[int, AtLeast(0)] = 0
    """Use only the first so many test images; 0: all."""


@dataclass(frozen=True)
class Validation:
    """The validation part of the training images; apart from ``Images``, which is code of every run on images."""

    validation_split: Annotated[float, AtLeast(0.0), AtMost(0.5), Neutral(0.0)] = 0.0
    """Share of each class's training images held back for validation; 0: none, each epoch is tested."""


@dataclass(frozen=True)
class Forecasting:
    """Settings of forecasting: the lengths of a window, in steps of the series."""

    input_length: Annotated[int, AtLeast(1), AtMost(100000)] = 64
    """Steps of input."""
    label_length: Annotated[int, AtLeast(0), AtMost(100000)] = 48
    """Last steps of the input, given to the decoder."""
    horizon: Annotated[int, AtLeast(1), AtMost(100000)] = 24
    """Steps to forecast."""
    patience: Annotated[int, AtLeast(0)] = 3
    """Stop after so many epochs without a better validation error; 0: never."""
    drop_last: Annotated[bool, Neutral(False)] = False
    """Drop the incomplete last batch of an epoch, which may be a single window but makes a full step."""


def parse(kind: type[Parsed], run: Mapping[str, Any]) -> Parsed:
    """Take from a run's flat settings those that ``kind`` declares."""
    return kind(**{field.name: run[field.name] for field in fields(kind)})  # type: ignore[arg-type]


def check_optimisation(
    schedule: str,
    warmup_epochs: int,
    warmup_lr: float,
    cooldown_epochs: int,
    cooldown_lr: float,
    epochs: int,
    micro_batch_size: int,
    compile: bool,
) -> None:
    """``ValueError`` where values that are each allowed do not go together."""
    if micro_batch_size and compile:
        raise ValueError(
            f"micro_batch_size ({micro_batch_size}) and compile exclude each other: a compiled model draws its masks "
            "where they cannot be drawn for the whole batch; set micro_batch_size to 0, or compile to false and "
            "activation_checkpointing to true"
        )
    if schedule == "warmup_cosine" and warmup_epochs + cooldown_epochs > epochs:
        raise ValueError(
            f"warmup_epochs + cooldown_epochs ({warmup_epochs} + {cooldown_epochs}) exceed epochs ({epochs})"
        )
    if schedule == "deit_cosine" and (warmup_epochs > epochs or cooldown_epochs):
        raise ValueError(
            f"deit_cosine takes a warmup_epochs of at most epochs ({epochs}) and a cooldown_epochs of 0, "
            f"not {warmup_epochs} and {cooldown_epochs}"
        )
    for name, rate in (("warmup_lr", warmup_lr), ("cooldown_lr", cooldown_lr)):
        if -1 < rate < 0:
            raise ValueError(
                f"{name} is {rate}; it must be at least 0, or -1, which leaves it to the schedule"
            )


_RANDAUGMENT = "(rand-)?((m|n|p|mstd|mmax|inc)[0-9]+([.][0-9]+)?(-(?!$)|$))+"


def check_images(color_jitter: float, randaugment: str) -> None:
    """``ValueError`` where values that are each allowed do not go together."""
    if color_jitter and randaugment:
        raise ValueError(
            f"color_jitter ({color_jitter}) and randaugment ({randaugment!r}) exclude each other; "
            "set color_jitter to 0 or randaugment to ''"
        )
    if randaugment and not re.fullmatch(_RANDAUGMENT, randaugment):
        raise ValueError(
            f"randaugment is {randaugment!r}; it is written as in m9-mstd0.5-inc1, of m, n, p, mstd, mmax and inc, "
            "each with a number"
        )
    if randaugment and not re.search("inc[1-9]", randaugment):
        raise ValueError(f"randaugment is {randaugment!r}; it needs inc1, as in m9-mstd0.5-inc1")


def check_forecasting(label_length: int, input_length: int) -> None:
    """``ValueError`` where values that are each allowed do not go together."""
    if label_length > input_length:
        raise ValueError(
            f"label_length ({label_length}), the end of the input, must not exceed input_length ({input_length})"
        )
