"""From JPEG to normalised batch: our feed against torchvision's ImageFolder with the same transforms, on one core.

Random resized crop to 224, mirror, normalise; files of ImageNet's typical size
(500 x 375) made from scikit-learn's two photographs. Both read, decode and
transform in this one process, so that the ratio is one of work, not of waiting.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from interleave import compare
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from favit.data import _stored
from favit.models import _torchvision_cpu as torchvision_cpu  # noqa: F401  (before torchvision)
from favit.prepare import pack
from favit.prepare.sources import find
from favit.train.augment.pipeline import Augmentation
from favit.train.distributed import World
from favit.train.feeds.stored import Feed, cropped
from favit.train.order import Batch
from favit.train.settings import Images

# isort: split
from torchvision import transforms as tv
from torchvision.datasets import ImageFolder
from torchvision.transforms import functional as tvf

IMAGES, BATCH, SIZE = 128, 32, 224
BOUND = 2  # levels of 255
CPU = torch.device("cpu")


def write_folder(folder: Path) -> None:
    """Pieces of two photographs, each its own, at quality 90; training and validation alike."""
    from sklearn.datasets import load_sample_images

    photographs = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    rng = np.random.default_rng(0)
    for i in range(IMAGES):
        left, top = int(rng.integers(0, 140)), int(rng.integers(0, 52))
        piece = photographs[i % 2].crop((left, top, left + 500, top + 375))
        for part in ("train", "val"):
            path = folder / part / f"n{i % 2:08d}" / f"{i}.JPEG"
            path.parent.mkdir(parents=True, exist_ok=True)
            piece.save(path, quality=90)


def pack_folder(folder: Path) -> _stored.StoredImages:
    """The same as shards."""
    found = find(folder)
    jobs = pack.jobs(found, folder, pack.PACKED, IMAGES)
    parts = {part: [pack.make(job) for job in jobs[part]] for part in jobs}
    index = pack.index(found.classes, pack.PACKED, parts, folder)
    (folder / "index.json").write_text(index.to_json())
    return _stored.load(folder, 2)


def ours(data: _stored.StoredImages) -> Callable[[], Tensor]:
    """An epoch of nothing but crop and mirror by the product's feed."""
    recipe = Images(image_size=SIZE, crop_scale_min=0.08, flip=0.5)
    feed = Feed(data, recipe, 0, CPU, World(), workers=0)
    augment = Augmentation(replace(recipe, crop_scale_min=1.0), 0, data.mean, data.std, 2, CPU)

    def epoch() -> Tensor:
        order = torch.randperm(IMAGES).split(BATCH)
        batches = [Batch(step, indices, torch.ones(BATCH)) for step, indices in enumerate(order)]
        last = torch.empty(0)
        for batch, images, labels in feed.train(batches, 0):
            last, _ = augment(images, labels, (0, batch.step, 0))
        return last

    return epoch


def theirs(folder: Path) -> Callable[[], Tensor]:
    steps = [
        tv.RandomResizedCrop(SIZE, interpolation=tv.InterpolationMode.BICUBIC),
        tv.RandomHorizontalFlip(),
        tv.ToTensor(),
        tv.Normalize(_stored.MEAN, _stored.STD),
    ]
    loader = DataLoader(ImageFolder(str(folder / "train"), tv.Compose(steps)), BATCH, shuffle=True)

    def epoch() -> Tensor:
        last = torch.empty(0)
        for images, _ in loader:
            last = images
        return last

    return epoch


def difference(data: _stored.StoredImages, folder: Path) -> int:
    """The largest difference of a pixel between the two, in levels, over all images with a box each."""
    files = ImageFolder(str(folder / "train"))
    largest = 0
    for i, image in enumerate(data.train.encoded(range(IMAGES))):
        picture, label = files[i]
        assert label == data.train.labels[i]
        box = list(tv.RandomResizedCrop.get_params(picture, [0.08, 1.0], [3 / 4, 4 / 3]))
        expected = tvf.resized_crop(picture, *box, [SIZE, SIZE], tv.InterpolationMode.BICUBIC)
        found = cropped(torch.from_numpy(image.decode()), box, SIZE, "bicubic")
        largest = max(largest, int((found.int() - tvf.pil_to_tensor(expected).int()).abs().max()))
    return largest


def main() -> None:
    """Print the bound that was held, the ratio, and images a second of one core."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_folder(folder)
        data = pack_folder(folder)
        off = difference(data, folder)
        print(f"the same crops of {IMAGES} images: pixels at most {off} of 255 levels apart")
        assert off <= BOUND
        result = compare(theirs(folder), ours(data), repeats=8)
        print(result.line("JPEG to batch of 224, ImageFolder / ours"))
        print(
            f"    {IMAGES / result.seconds_a:.0f} / {IMAGES / result.seconds_b:.0f} images a second of one core"
        )


if __name__ == "__main__":
    main()
