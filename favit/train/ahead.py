"""The next batch is prepared beside the model's work, on a stream of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from favit.train.order import Batch


class Ahead:
    """Prepares a task's batches. There is one side stream for all epochs, since each has memory of its own."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._side = torch.cuda.Stream(device) if device.type == "cuda" else None

    def __call__(self, batches: Iterator[tuple[Batch, Any]]) -> Iterator[tuple[Batch, Any]]:
        """The same batches and examples. On a GPU all that ``batches`` does for the next one is queued on the side
        stream, where it runs while the main stream is still at the last step; what waits for it is the main stream,
        and not the host."""
        if self._side is None:
            yield from batches
            return
        self._side.wait_stream(torch.cuda.current_stream(self._device))  # the data may have come just now
        while True:
            with torch.cuda.stream(self._side):
                found = next(batches, None)
                done = self._side.record_event()
            if found is None:
                return
            main = torch.cuda.current_stream(self._device)
            main.wait_event(done)
            batch, examples = found
            for tensor in (batch.indices, batch.weights, *_tensors(examples)):
                if tensor.is_cuda:
                    tensor.record_stream(main)  # so that the side stream does not reuse its memory too early
            yield batch, examples


def _tensors(examples: Any) -> Iterator[Tensor]:
    if isinstance(examples, Tensor):
        yield examples
        return
    for part in examples:
        yield from _tensors(part)
