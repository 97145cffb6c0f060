"""Messages about wrong names. Apart from ``registry``, so that no trained result depends on their wording."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from favit.components.setting import Setting

# What other programs and papers call settings and axes of ours.
_MEANT = {
    "lr": "learning_rate base_lr learningrate",
    "min_lr": "lr_min final_lr eta_min",
    "batch_size": "batch bs batchsize train_batch_size",
    "epochs": "n_epochs num_epochs max_epochs train_epochs",
    "weight_decay": "wd decay l2",
    "optimizer": "optim opt optimiser",
    "schedule": "scheduler lr_scheduler lr_schedule lradj sched",
    "warmup_epochs": "warmup warm_up",
    "cooldown_epochs": "cooldown cool_down",
    "clip_grad": "grad_clip gradient_clip max_norm clip_norm",
    "ema": "model_ema ema_decay",
    "precision": "dtype amp fp16 bf16 mixed_precision use_amp",
    "seed": "random_seed rng_seed random_state",
    "image_size": "img_size resolution input_size",
    "interpolation": "resample train_interpolation",
    "flip": "hflip horizontal_flip",
    "crop_scale_min": "crop_scale random_crop",
    "randaugment": "aa auto_augment autoaugment rand_augment",
    "erasing": "reprob random_erasing cutout",
    "label_smoothing": "smoothing",
    "drop_path": "drop_path_rate stochastic_depth droppath",
    "input_length": "seq_len lookback context_length input_len",
    "label_length": "label_len decoder_length",
    "horizon": "pred_len prediction_length forecast_length steps_ahead out_len",
    "patience": "early_stopping early_stop",
    "dataset": "data data_set",
    "model": "arch architecture network backbone",
    "aggregator": "attention attn mechanism aggregation",
    "encoding": "position positional_encoding pos_embed position_encoding embedding pe embed",
}
_FIRST = 3  # of all valid names, so many of the nearest come first
_MEANING = {word: name for name, words in _MEANT.items() for word in words.split()}


def unknown(what: str, name: str, valid: Iterable[str]) -> str:
    """The message about a wrong name: the nearest valid one, then all of them, the nearest first."""
    return _answer(what, name, {v: v for v in valid})


def unknown_setting(name: str, axes: Iterable[str], settings: Mapping[str, Setting]) -> str:
    """The message about a wrong setting: the valid ones with their defaults, the nearest first, then in file order."""
    shown = {axis: axis for axis in axes}
    shown |= {key: f"{key} ({_written(setting.default)})" for key, setting in settings.items()}
    return _answer(f"setting '{name}'", name, shown)


def meant(name: str, valid: Iterable[str]) -> list[str]:
    """The name used here for what other programs call ``name``, if there is one: ``lr`` for ``learning_rate``."""
    here = _MEANING.get(name.lower().replace("-", "_"))
    return [here] if here in set(valid) else []


def near_names(name: str, valid: Iterable[str], most: int = 3) -> list[str]:
    """The valid names nearest in spelling, the nearest first; empty if none is near."""
    return difflib.get_close_matches(name, sorted(valid), n=most, cutoff=0.6)


def _answer(what: str, name: str, shown: Mapping[str, str]) -> str:
    near = meant(name, shown) or difflib.get_close_matches(name, shown, n=_FIRST, cutoff=0.5)
    listed = ", ".join(shown[v] for v in dict.fromkeys([*near, *shown]))
    if near:
        return f"unknown {what}; did you mean '{near[0]}'? Valid: {listed}"
    return f"unknown {what}; valid: {listed or 'none'}"


def _written(value: Any) -> str:
    """A value as YAML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)
