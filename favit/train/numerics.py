"""The switches of torch that numbers depend on: always those of the run, never a device's defaults."""

from __future__ import annotations

import os

import torch

from favit.train.settings import Optimisation

# A run's precision, where it is not float32
AUTOCAST = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def configure(chosen: Optimisation) -> None:
    """Set precision and determinism as the run says."""
    torch.backends.cuda.matmul.allow_tf32 = chosen.tf32
    torch.backends.cudnn.allow_tf32 = chosen.tf32
    torch.backends.cudnn.benchmark = not chosen.deterministic
    if chosen.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(chosen.deterministic)
