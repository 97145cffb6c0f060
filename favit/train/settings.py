"""Settings that both tasks share. A run's JSON always states them all; paths, device and workers are none of them."""

from __future__ import annotations

SETTINGS = {
    "seed": 0,
    "epochs": 300,
    "batch_size": 128,  # over all processes together
    "optimizer": ("adamw", "adam"),
    "lr": 1e-3,
    "lr_batch": 0,  # batch size that lr and min_lr are meant for, with which they grow; 0: whatever it is
    "weight_decay": 0.05,  # not on biases, norms and encodings
    "schedule": ("warmup_cosine", "halving", "constant"),
    "warmup_epochs": 10,
    "cooldown_epochs": 10,
    "min_lr": 1e-5,
    "precision": ("float32", "bfloat16", "float16"),  # of the forward pass (autocast); weights stay float32
    "tf32": False,
    "compile": False,
    "fused": True,  # the fused optimizer kernel, on the CPU as on a GPU
    "deterministic": False,  # refuse operations that a GPU does not repeat bit for bit
    "ema": 0.0,  # decay of the averaged weights that are scored instead; 0: none
    "clip_grad": 0.0,  # largest norm of the gradient; 0: none
}

REQUIRES = {
    "schedule != 'warmup_cosine' or warmup_epochs + cooldown_epochs <= epochs": (
        "the epochs of warmup_cosine must hold its warm-up and its cool-down"
    ),
    "ema < 1": "ema must be below 1",
}

MINIMUM = {
    "seed": 0,
    "epochs": 1,
    "batch_size": 1,
    "lr": 0.0,
    "lr_batch": 0,
    "weight_decay": 0.0,
    "warmup_epochs": 0,
    "cooldown_epochs": 0,
    "min_lr": 0.0,
    "ema": 0.0,
    "clip_grad": 0.0,
}
