"""A tiny sweep over both families, trained for real once for all tests of a module."""

from __future__ import annotations

import re
from typing import Any

TINY: dict[str, Any] = {
    "device": "cpu",
    "resources": {"cpus": 1, "gpus": 0, "mem_mb": 1000, "runtime": 10},
    "recipes": {
        "series": {
            "epochs": 1,
            "batch_size": 256,
            "schedule": "halving",
            "optimizer": "adam",
            "lr": 0.001,
            "input_length": 8,
            "label_length": 4,
            "horizon": 2,
            "patience": 0,
            "model.d_model": 8,
            "model.n_heads": 2,
            "model.d_ff": 8,
        },
        "images": {
            "epochs": 1,
            "batch_size": 16,
            "warmup_epochs": 0,
            "cooldown_epochs": 0,
            "image_size": 32,
            "limit_train": 32,
            "limit_test": 16,
        },
    },
    "groups": {"both": ["series", "images"]},
    "sweeps": {
        "series": {
            "recipe": "series",
            "matrix": {
                "dataset": ["seattle_weather"],
                "model": ["informer"],
                "aggregator": ["full", "probsparse"],
                "encoding": ["temporal"],
                "seed": [0],
            },
            "table": {"caption": "Tiny series", "label": "tab:series", "baseline": "full"},
        },
        "images": {
            "recipe": "images",
            "matrix": {
                "dataset": ["digits"],
                "model": ["favit_b0"],
                "aggregator": ["max_pool", "probsparse"],
                "encoding": ["none"],
                "seed": [0],
            },
            "table": {"caption": "Tiny images", "label": "tab:images", "baseline": "max_pool"},
        },
    },
}

FULL, SPARSE = (
    "seattle_weather informer.full.temporal.seed0",
    "seattle_weather informer.probsparse.temporal.seed0",
)
MAX_POOL, PROBSPARSE = "digits favit_b0.max_pool.none.seed0", "digits favit_b0.probsparse.none.seed0"
SERIES, IMAGES = {FULL, SPARSE}, {MAX_POOL, PROBSPARSE}


def planned(output: str) -> dict[str, str]:
    """Run -> reason, of what a dry run says that it would train."""
    return dict(re.findall(r"^Job \d+: Train (\S+ \S+): (.*)$", output, re.MULTILINE))


def planned_tables(output: str) -> set[str]:
    """Names of the tables that a dry run says that it would make."""
    return set(re.findall(r"^Job \d+: Table of (\S+)$", output, re.MULTILINE))
