"""Images that stay on disk: other processes read, decode, crop and resize them while the device computes.

Cropping comes with decoding, because photographs differ in size and only their
crops make a batch. It is torchvision's RandomResizedCrop all the same, seeded
like every other transform by epoch, step and process, so that neither the
number of workers nor a resumption changes an image.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from favit.train import seeds
from favit.train.augment.crop import random_crops
from favit.train.distributed import World
from favit.train.order import Batch
from favit.train.settings import Images
from favit.train.transfer import to_device


class Wanted(NamedTuple):
    """One batch for a worker: examples, and where in the run they are trained on; None: test images."""

    indices: list[int]
    where: tuple[int, ...] | None = None


class Feed:
    """The batches of a data set on disk, in the order in which they are asked for."""

    cropped = True
    on_cpu = True

    def __init__(
        self, data: Any, chosen: Images, seed: int, device: torch.device, world: World, workers: int
    ) -> None:
        self.mean, self.std, self.classes = data.mean, data.std, len(data.class_names)
        self.train_examples = len(data.train)
        self.train_labels, self.test_labels = data.train.labels, data.test.labels
        self._device, self._world = device, world
        self._requests = _Requests()
        self._loader: DataLoader[Tensor] = DataLoader(
            Reader(data, chosen, seed),
            sampler=self._requests,
            batch_size=None,
            num_workers=workers,
            persistent_workers=workers > 0,
            multiprocessing_context="fork" if workers else None,
            worker_init_fn=_leave_signals_to_the_trainer,
            pin_memory=device.type == "cuda",
        )

    def train(self, batches: Iterable[Batch], epoch: int) -> Iterator[tuple[Batch, Tensor, Tensor]]:
        """Each batch with its images (b, 3, S, S), randomly cropped and resized, and labels."""
        under_way: deque[Batch] = deque()

        def requests() -> Iterator[Wanted]:
            for batch in batches:
                under_way.append(batch)
                yield Wanted(batch.indices.tolist(), (epoch, batch.step, self._world.rank))

        for images in self._read(requests()):
            batch = under_way.popleft()
            yield batch, images, to_device(self.train_labels[batch.indices], self._device)

    def test(self, batches: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """The central squares (b, 3, S, S) of batches of test images, and their labels."""
        wanted = list(batches)
        read = self._read(Wanted(indices.tolist()) for indices in wanted)
        for indices, images in zip(wanted, read, strict=True):
            yield images, to_device(self.test_labels[indices], self._device)

    def _read(self, requests: Iterable[Wanted]) -> Iterator[Tensor]:
        self._requests.next = requests
        return _to_device(self._loader, self._device)


class Reader(Dataset[Tensor]):
    """What a worker does: from a request to a batch of images of one size."""

    def __init__(self, data: Any, chosen: Images, seed: int) -> None:
        self._data, self._chosen, self._seed = data, chosen, seed

    def __getitem__(self, request: Wanted) -> Tensor:
        """(b, 3, S, S) uint8. ``ValueError`` names an image that is damaged."""
        chosen, size = self._chosen, self._chosen.image_size
        part = self._data.test if request.where is None else self._data.train
        images = part.encoded(request.indices)
        batch = torch.empty(len(images), 3, size, size, dtype=torch.uint8)
        if request.where is None or chosen.crop_scale_min >= 1:
            for place, image in zip(batch, images, strict=True):
                pixels = torch.from_numpy(image.decode())
                place.copy_(central(pixels, size, chosen.test_crop, chosen.interpolation))
        else:
            for place, image, box in zip(batch, images, self._boxes(images, request.where), strict=True):
                pixels = torch.from_numpy(image.decode())
                place.copy_(cropped(pixels, box, size, chosen.interpolation))
        return batch

    def _boxes(self, images: list[Any], where: tuple[int, ...]) -> list[list[int]]:
        heights, widths = torch.tensor([[image.height, image.width] for image in images]).unbind(1)
        generator = seeds.generator(self._seed, "crop", *where)
        boxes = random_crops(len(images), heights, widths, self._chosen.crop_scale_min, generator)
        return boxes.long().tolist()


def cropped(pixels: Tensor, box: list[int], size: int, interpolation: str) -> Tensor:
    """The box (top, left, height, width) of (H, W, 3) uint8, resized: (3, S, S)."""
    top, left, height, width = box
    return _resized(pixels[top : top + height, left : left + width], size, size, interpolation)


def central(pixels: Tensor, size: int, share: float, interpolation: str) -> Tensor:
    """The central S x S pixels of an image whose shorter side has been resized to S / share: (3, S, S)."""
    height, width = pixels.shape[:2]
    short = int(size / share)
    tall, wide = (int(short * side / min(height, width)) for side in (height, width))
    whole = _resized(pixels, tall, wide, interpolation)
    top, left = round((tall - size) / 2), round((wide - size) / 2)
    return whole[:, top : top + size, left : left + size]


def _resized(pixels: Tensor, height: int, width: int, interpolation: str) -> Tensor:
    """To (3, height, width), within two levels of Pillow 13."""
    # On bytes with the channels last torch takes a vectorised kernel, several times as fast as Pillow
    x = pixels.permute(2, 0, 1)[None]
    h, w = x.shape[2:]
    if h > height and (h + height) * width > 2 * w * height:
        # Pillow 13 shrinks the rows first where that saves more (the rule is found by trial), and where bytes
        # overflow in between, the order shows
        x = F.interpolate(x, (height, w), mode=interpolation, antialias=True)
    return F.interpolate(x, (height, width), mode=interpolation, antialias=True)[0]


class _Requests:
    """What the loader goes through next."""

    def __init__(self) -> None:
        self.next: Iterable[Wanted] = ()

    def __iter__(self) -> Iterator[Wanted]:
        return iter(self.next)


def _to_device(batches: Iterable[Tensor], device: torch.device) -> Iterator[Tensor]:
    """Copy to a GPU one batch ahead, beside what it computes."""
    if device.type != "cuda":
        yield from batches
        return
    stream = torch.cuda.Stream(device)
    waiting: deque[tuple[Tensor, torch.cuda.Event]] = deque()
    for batch in batches:
        with torch.cuda.stream(stream):
            waiting.append((batch.to(device, non_blocking=True), stream.record_event()))
        if len(waiting) > 1:
            yield _arrived(*waiting.popleft())
    while waiting:
        yield _arrived(*waiting.popleft())


def _arrived(batch: Tensor, copied: torch.cuda.Event) -> Tensor:
    computing = torch.cuda.current_stream(batch.device)
    computing.wait_event(copied)
    batch.record_stream(computing)
    return batch


def _leave_signals_to_the_trainer(worker: int) -> None:
    # It saves and then ends its workers; one that died of the signal itself would take the checkpoint with it
    for number in (signal.SIGUSR2, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
