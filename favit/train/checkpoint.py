"""A trainer's state as bytes, and the same state from them: what a run that was stopped goes on from."""

from __future__ import annotations

import io

import torch

from favit.train.host import TrainerState


def pack(state: TrainerState) -> bytes:
    """The state as bytes: tensors, numbers, texts, lists and dicts, what ``torch.load(weights_only=True)`` takes."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def unpack(content: bytes) -> TrainerState:
    """The state that ``pack`` was given, on the CPU."""
    state: TrainerState = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return state
