"""The runs of the replay: every component and every way through the loop, each a few steps long.

What a run does not state is whatever its commit takes for a default.
"""

from __future__ import annotations

from typing import Any

Settings = dict[str, Any]

IMAGES: Settings = {
    "dataset": "digits", "model": "favit_b0", "aggregator": "max_pool", "encoding": "none", "seed": 3,
    "epochs": 1, "warmup_epochs": 0, "cooldown_epochs": 0, "batch_size": 4, "image_size": 32,
    "limit_train": 8, "limit_test": 4,
}  # fmt: skip
SERIES: Settings = {
    "dataset": "seattle_weather", "model": "informer", "aggregator": "full", "encoding": "sinusoidal", "seed": 3,
    "epochs": 2, "batch_size": 512, "schedule": "halving", "optimizer": "adam", "input_length": 20,
    "label_length": 10, "horizon": 5, "warmup_epochs": 0, "cooldown_epochs": 0,
    "model.d_model": 8, "model.n_heads": 2, "model.d_ff": 16,
}  # fmt: skip
RECIPE: Settings = {
    "crop_scale_min": 0.3, "flip": 0.5, "randaugment": "m9-mstd0.5-inc1", "erasing": 0.5, "mixup": 0.8,
    "cutmix": 1.0, "label_smoothing": 0.1, "drop_path": 0.1,
}  # fmt: skip
STORED: Settings = {"dataset": "imagenet1k"}
# Of so short a series the usual factor, 5, keeps every query.
PROBSPARSE: Settings = {"aggregator": "probsparse", "aggregator.factor": 1}
LONG: Settings = {
    "batch_size": 8192,
    "epochs": 1,
    "input_length": 8,
    "label_length": 4,
    "horizon": 2,
    "model.e_layers": 1,
}

AGGREGATORS = ("pointwise_conv", "linear", "avg_pool", "max_pool", "probsparse", "published")
IMAGE_ENCODINGS = ("learned", "sinusoidal", "legendre")
SERIES_ENCODINGS = ("sinusoidal", "legendre", "learned", "temporal", "none")

# One setting each beside those of IMAGES.
OF_IMAGES: dict[str, Settings] = {
    "legendre-channels": {"encoding": "legendre", "encoding.order_along": "channel"},
    "exact": {"aggregator": "probsparse", "aggregator.measure": "exact"},
    "max-votes": {"aggregator": "probsparse", "aggregator.pool": "max"},
    "factor": {"aggregator": "probsparse", "aggregator.factor": 5},
    "recipe": {**RECIPE, "aggregator": "probsparse", "precision": "bfloat16", "ema": 0.9, "clip_grad": 1.0},
    "crop": {"crop_scale_min": 0.3},
    "bilinear": {"crop_scale_min": 0.3, "interpolation": "bilinear"},
    "flip": {"flip": 0.5},
    "randaugment": {"randaugment": "m9-mstd0.5-inc1"},
    "jitter": {"color_jitter": 0.4},
    "erasing": {"erasing": 0.5},
    "mixup": {"mixup": 0.8},
    "cutmix": {"cutmix": 1.0},
    "smoothing": {"label_smoothing": 0.1},
    "drop-path": {"drop_path": 0.2},
    "ema": {"ema": 0.9},
    "clip": {"clip_grad": 0.1},
    "adam": {"optimizer": "adam"},
    "halving": {"schedule": "halving", "epochs": 3},
    "constant": {"schedule": "constant"},
    "cooldown": {"epochs": 3, "warmup_epochs": 1, "cooldown_epochs": 1},
    "rate-by-batch": {"lr_batch": 64},
    "bfloat16": {"precision": "bfloat16"},
    "channels-last": {"channels_last": True},
    "unfused": {"fused": False},
    "deterministic": {"deterministic": True},
    "larger-model": {"model": "favit_b1"},
    "cifar100": {"dataset": "cifar100"},
    "stored": STORED,
    "stored-cropped": {**STORED, **RECIPE, "test_crop": 0.875},
}

# One setting each beside those of SERIES.
OF_SERIES: dict[str, Settings] = {
    **{f"full-{name}": {"encoding": name} for name in SERIES_ENCODINGS},
    **{f"probsparse-{name}": {**PROBSPARSE, "encoding": name} for name in ("sinusoidal", "none")},
    **{
        f"delta-v-{name}": {**PROBSPARSE, "aggregator": "delta_v", "encoding": name}
        for name in ("sinusoidal", "temporal", "none")
    },
    **{
        f"terms-{terms}": {"aggregator": "cross_terms", "aggregator.terms": terms}
        for terms in ("all", "token_pos+pos_token", "pos_pos")
    },
    "delta-v-full": {"aggregator": "delta_v", "aggregator.base": "full", "encoding": "legendre"},
    "kl": {**PROBSPARSE, "aggregator.measure": "kl", "aggregator.exact": True},
    "mlp": {"model.mlp_depth": 4},
    "plain-model": {
        **PROBSPARSE, "model.distil": False, "model.mix": False, "model.activation": "relu",
        "model.e_layers": 1, "model.d_layers": 2,
    },
    "averaged": {
        "optimizer": "adamw", "ema": 0.9, "clip_grad": 0.5, "precision": "bfloat16", **PROBSPARSE,
    },
    "patience": {"patience": 1, "epochs": 5, "lr": 0.03},
    "gaps": {"dataset": "csv", "dataset.path": "made_up.csv", "dataset.gaps": "interpolate"},
    "etth1": {**LONG, **PROBSPARSE, "dataset": "etth1"},
    "ettm1": {**LONG, **PROBSPARSE, "dataset": "ettm1", "aggregator": "delta_v", "encoding": "none"},
}  # fmt: skip


def runs() -> dict[str, Settings]:
    """Settings of each run by its name."""
    images = {f"aggregator-{name}": {"aggregator": name} for name in AGGREGATORS}
    for aggregator in ("max_pool", "probsparse"):
        images |= {
            f"{aggregator}-{encoding}": {"aggregator": aggregator, "encoding": encoding}
            for encoding in IMAGE_ENCODINGS
        }
    images |= OF_IMAGES
    return {f"images-{name}": {**IMAGES, **given} for name, given in images.items()} | {
        f"series-{name}": {**SERIES, **given} for name, given in OF_SERIES.items()
    }
