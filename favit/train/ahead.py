"""The next batch is prepared beside the model's work, on a stream of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from favit.train.order import Batch


def prepared(batches: Iterator[tuple[Batch, Any]], device: torch.device) -> Iterator[tuple[Batch, Any]]:
    """The same batches and examples. On a GPU all that ``batches`` does for the next one is queued on a side stream,
    where it runs while the main stream is still at the last step; a batch is waited for there, and not by the host."""
    if device.type != "cuda":
        yield from batches
        return
    main, side = torch.cuda.current_stream(device), torch.cuda.Stream(device)
    side.wait_stream(main)  # the data may have come to the device just now
    while True:
        with torch.cuda.stream(side):
            found = next(batches, None)
            done = side.record_event()
        if found is None:
            return
        main = torch.cuda.current_stream(device)
        main.wait_event(done)
        batch, examples = found
        for tensor in (batch.indices, batch.weights, *_tensors(examples)):
            if tensor.is_cuda:
                tensor.record_stream(
                    main
                )  # its memory is the side stream's, which is not to reuse it too early
        yield batch, examples


def _tensors(examples: Any) -> Iterator[Tensor]:
    if isinstance(examples, Tensor):
        yield examples
        return
    for part in examples:
        yield from _tensors(part)
