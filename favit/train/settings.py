"""What training depends on: every setting with its type, default, bounds and meaning, declared once.

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
    """What both tasks share: the optimizer, its schedule, and how numbers are computed."""

    seed: Annotated[int, AtLeast(0), AtMost(4294967295)] = 0
    """Decides initial weights, order, augmentation, dropout and sampling."""
    epochs: Annotated[int, AtLeast(1), AtMost(1000000)] = 300
    """Passes through the training data."""
    batch_size: Annotated[int, AtLeast(1), AtMost(1000000)] = 128
    """Examples of one step, over all processes together."""
    micro_batch_size: Annotated[int, AtLeast(0), AtMost(1000000), Neutral(0)] = 0
    """Examples of a process that go through the model at a time, gradients being added up; 0: its whole share.
    Steps stay those of batch_size but for rounding, and for batch norms, which see so many at a time."""
    activation_checkpointing: Annotated[bool, Neutral(False)] = False
    """Compute each block's activations again in the backward pass instead of keeping them; the numbers are the same."""
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
    """The update rule: AdamW decays weights apart from the gradient, Adam through it. The others are timm's, with
    its defaults: those that go on after a stop as if there had been none, on a CPU as on a GPU."""
    lr: Annotated[float, AtLeast(0.0)] = 1e-3
    """Highest learning rate of the schedule."""
    lr_batch: Annotated[int, AtLeast(0)] = 0
    """Batch size that lr is meant for, with which it grows; 0: whatever it is."""
    weight_decay: Annotated[float, AtLeast(0.0)] = 0.05
    """Decay of weights, but not of biases, norms and encodings."""
    decay_all: bool = False
    """Decay biases, norms and encodings, too."""
    schedule: Literal["warmup_cosine", "deit_cosine", "halving", "constant"] = "warmup_cosine"
    """How the learning rate changes from epoch to epoch."""
    warmup_epochs: Annotated[int, AtLeast(0)] = 10
    """Epochs in which a cosine schedule rises to lr."""
    warmup_lr: Annotated[float, AtLeast(-1.0)] = -1.0
    """Learning rate where the warm-up begins, which then reaches lr after warmup_epochs; -1: lr / warmup_epochs,
    which reaches lr an epoch earlier."""
    cooldown_epochs: Annotated[int, AtLeast(0)] = 10
    """Last epochs, which warmup_cosine trains at cooldown_lr; deit_cosine has none."""
    cooldown_lr: Annotated[float, AtLeast(-1.0)] = -1.0
    """Learning rate of the cool-down, after the epoch at min_lr; -1: min_lr."""
    min_lr: Annotated[float, AtLeast(0.0)] = 1e-5
    """Learning rate at the end of a cosine."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Number format of the forward pass (autocast); weights stay float32."""
    tf32: bool = False
    """Let a GPU's matrix products and convolutions round their input to TF32."""
    compile: bool = False
    """Compile the model with torch.compile."""
    fused: bool = True
    """Take the fused kernel of Adam and AdamW, on the CPU as on a GPU."""
    deterministic: bool = False
    """Refuse operations that a GPU does not repeat bit for bit."""
    ema: Annotated[float, AtLeast(0.0), Below(1.0)] = 0.0
    """Decay of the averaged weights that are scored instead; 0: none."""
    clip_grad: Annotated[float, AtLeast(0.0)] = 0.0
    """Largest norm of the gradient; 0: none."""


@dataclass(frozen=True)
class Images:
    """What image classification adds: size, augmentation and regularisation."""

    image_size: Annotated[int, AtLeast(1), AtMost(4096)] = 224
    """Pixels a side that the model sees."""
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    """How images are resized."""
    crop_scale_min: Annotated[float, AtLeast(0.0), AtMost(1.0)] = 1.0
    """Least share of the image that a random resized crop keeps; 1: no crop, as in the test."""
    test_crop: Annotated[float, AtLeast(0.01), AtMost(1.0)] = 1.0
    """Share of the resized test image that is kept in each direction, from its central square."""
    normalise: Literal["dataset", "imagenet", "half"] = "dataset"
    """Whose mean and deviation the pixels are standardised with: the training images', ImageNet's, or 0.5 and 0.5."""
    repeats: Annotated[int, AtLeast(1)] = 1
    """Repeated augmentation: times that an image comes in a row, augmented anew, in an epoch that stays as long."""
    drop_last: bool = True
    """Leave out the incomplete last batch of an epoch."""
    flip: Annotated[float, AtLeast(0.0), AtMost(1.0)] = 0.0
    """Probability of a mirror image."""
    color_jitter: Annotated[float, AtLeast(0.0)] = 0.0
    """Strength of brightness, contrast and saturation; not beside RandAugment."""
    randaugment: str = ""
    """RandAugment as timm writes it: m9-mstd0.5-inc1."""
    erasing: Annotated[float, AtLeast(0.0), AtMost(1.0)] = 0.0
    """Probability of a box of noise."""
    mixup: Annotated[float, AtLeast(0.0)] = 0.0
    """Alpha of mixup; 0: off."""
    cutmix: Annotated[float, AtLeast(0.0)] = 0.0
    """Alpha of CutMix; 0: off."""
    label_smoothing: Annotated[float, AtLeast(0.0), Below(1.0)] = 0.0
    """Share of the target that is spread over all classes."""
    drop_path: Annotated[float, AtLeast(0.0), Below(1.0)] = 0.0
    """Stochastic depth: the rate of the last block, rising to it linearly."""
    channels_last: bool = False
    """Keep images with the channels last in memory."""
    limit_train: Annotated[int, AtLeast(0)] = 0
    """So many training images from the beginning; 0: all."""
    limit_test: Annotated[int, AtLeast(0)] = 0
    """So many test images from the beginning; 0: all."""


@dataclass(frozen=True)
class Validation:
    """What is held back of the training images; apart from ``Images``, which is code of every run on images."""

    validation_split: Annotated[float, AtLeast(0.0), AtMost(0.5), Neutral(0.0)] = 0.0
    """Share of each class's training images that validates in place of the test; 0: none, each epoch is tested."""


@dataclass(frozen=True)
class Forecasting:
    """What forecasting adds: the lengths of a window, in steps of the series."""

    input_length: Annotated[int, AtLeast(1), AtMost(100000)] = 64
    """Steps that the model sees."""
    label_length: Annotated[int, AtLeast(0), AtMost(100000)] = 48
    """Last steps of the input that the decoder is given."""
    horizon: Annotated[int, AtLeast(1), AtMost(100000)] = 24
    """Steps that are forecast."""
    patience: Annotated[int, AtLeast(0)] = 3
    """Epochs without a better validation error after which training ends; 0: never."""


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
