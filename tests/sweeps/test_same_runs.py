"""The flat settings of a run are its identity: those of every sweep are what they were, to the last digit.

A sweep may have grown by rows and seeds since.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from favit.identity.closure import ROOT
from favit.sweeps.config import load
from favit.sweeps.runs import Run, runs

# Digests of each sweep's runs, taken when settings were still declared in SETTINGS.
BEFORE = json.loads(Path(__file__).with_name("runs_before.json").read_text())
CONFIG = load(ROOT / "config.yaml")

# Declared since: at these values they do what was done before.
SINCE = {
    "activation_checkpointing": False,
    "cooldown_lr": -1.0,
    "decay_all": False,
    "drop_last": True,
    "micro_batch_size": 0,
    "normalise": "dataset",
    "repeats": 1,
    "validation_split": 0.0,
    "warmup_lr": -1.0,
}


def as_before(run: Run) -> str:
    """The key of a run without what was declared since."""
    since = SINCE | ({"drop_last": False} if run.task == "forecasting" else {})
    kept = {k: v for k, v in run.settings.items() if k not in since or v != since[k]}
    return Run(kept).key


@pytest.mark.parametrize("sweep", BEFORE)
def test_every_run_resolves_to_the_same_settings(sweep: str) -> None:
    found = {hashlib.sha256(as_before(run).encode()).hexdigest()[:16] for run in runs(CONFIG, sweep)}
    assert set(BEFORE[sweep]) <= found
