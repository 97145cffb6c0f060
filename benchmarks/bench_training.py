"""Training speed against the plain ways of doing the same, in turn on one device.

    python benchmarks/bench_training.py [--quick] [--device cpu|cuda]

Input alone: random crops to 224 pixels and timm's full recipe, per image against
batched on the device. Training of FaViT-B0 at 224: the loop against per-image
transforms in two workers, float32, eager. Informer: windows gathered on the
device against a DataLoader. The plain side has a process of its own. A ratio
above 1 says how many times as fast ours is.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.bounds import Work
from benchmarks.gpu_training import Steps
from benchmarks.interleave import Elsewhere, compare, machine_line
from benchmarks.made_up import FAVIT_RECIPE, IMAGES, SEED_RECIPE, SERIES, run_of, write_archive, write_series
from favit.analysis.count import count
from favit.models import _torchvision_cpu as torchvision_cpu  # noqa: F401  (before torchvision and timm)
from favit.train import build, numerics, optimizer
from favit.train.augment.pipeline import Augmentation
from favit.train.life import machine
from favit.train.settings import Images, Optimisation, parse

SIZE = 224
MEAN, STD = (0.507, 0.487, 0.441), (0.267, 0.256, 0.276)


def main() -> None:
    """Print one line a comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu"
    )
    options = parser.parse_args()
    device = torch.device(options.device)
    name = (
        torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    )
    print(machine_line(f"training on {name}, memory kept as in training, in turn with the other side"))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_archive(root)
        write_series(root)
        if importlib.util.find_spec("PIL") and importlib.util.find_spec("torchvision"):
            bench_input(device, repeats=4 if options.quick else 10)
            bench_images(device, root, repeats=2 if options.quick else 6)
        else:
            print("images against per-image transforms: skipped, Pillow and torchvision are not there")
        bench_windows(device, root, repeats=3 if options.quick else 10)


def configure(run: dict[str, Any], threads: int, device: torch.device) -> None:
    """Set threads and precision as a run does."""
    machine.prepare(threads, device)
    numerics.configure(parse(Optimisation, run))


# -- the input pipeline alone ---------------------------------------------------------------------


def bench_input(device: torch.device, repeats: int, batch: int = 128) -> None:
    """Images a second of one core (or one GPU) against the per-image transforms of one core."""
    images, labels = (x.to(device) for x in input_batch(batch))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for name, recipe in (("torchvision", SEED_RECIPE), ("timm", FAVIT_RECIPE)):
        run = run_of("classification", image_size=SIZE, **recipe)
        configure(run, 1, device)
        augmentation = Augmentation(parse(Images, run), run["seed"], MEAN, STD, 100, device)
        step = iter(range(10**9))

        def ours(augmentation=augmentation, step=step) -> None:
            augmentation(images, labels, (0, next(step), 0))
            synchronise(device)

        with Elsewhere(plain_input, name, batch) as theirs:
            result = compare(theirs, ours, repeats)
        print(result.line(f"input to 224, {name} per image / ours batched"))
        print(f"    {batch / result.seconds_a:8.0f} / {batch / result.seconds_b:8.0f} images a second")
    torch.set_num_threads(threads)


def input_batch(n: int) -> tuple[Tensor, Tensor]:
    """Bytes (n, 3, 32, 32), smoothed noise, and labels (n,)."""
    noise = torch.randint(0, 256, (n, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    return nn.functional.avg_pool2d(noise.float(), 3, 1, 1).byte(), torch.arange(n) % 100


def plain_input(library: str, batch: int) -> Callable[[], None]:
    """The recipe of FaViT's authors by timm, or the study's own crop and flip by torchvision, on one core."""
    torch.set_num_threads(1)
    from PIL import Image

    images, labels = input_batch(batch)
    transform = timm_transform() if library == "timm" else torchvision_transform()
    mixing = timm_mixup() if library == "timm" else None

    def call() -> None:
        x = torch.stack([transform(Image.fromarray(i)) for i in images.permute(0, 2, 3, 1).numpy()])
        if mixing:
            mixing(x, labels)

    return call


def torchvision_transform() -> Callable[[Any], Tensor]:
    """Random resized crop and flip, as the study's script."""
    from torchvision import transforms as tv

    return tv.Compose(
        [tv.RandomResizedCrop(SIZE), tv.RandomHorizontalFlip(), tv.ToTensor(), tv.Normalize(MEAN, STD)]
    )


def timm_transform() -> Callable[[Any], Tensor]:
    """The training pipeline of FaViT's authors."""
    from timm.data import auto_augment, create_transform

    # At its highest level timm asks for 0 bits, which Pillow refuses since version 12
    auto_augment.NAME_TO_OP["PosterizeIncreasing"] = lambda i, bits, **_: auto_augment.posterize(
        i, max(bits, 1)
    )
    return create_transform(
        SIZE,
        is_training=True,
        interpolation="bicubic",
        auto_augment="rand-m9-mstd0.5-inc1",
        re_prob=0.25,
        re_mode="pixel",
        mean=MEAN,
        std=STD,
    )


def timm_mixup() -> Callable[[Tensor, Tensor], Any]:
    """Mixup and CutMix of a batch."""
    from timm.data import Mixup

    return Mixup(0.8, 1.0, label_smoothing=0.1, num_classes=100)


# -- training FaViT-B0 -----------------------------------------------------------------------------


def bench_images(device: torch.device, root: Path, repeats: int) -> None:
    """Training images a second, and the share of a step that is not the model's."""
    gpu = device.type == "cuda"
    batch, steps = (128, 10) if gpu else (16, 6)
    fast = {"precision": "bfloat16", "compile": gpu, "tf32": True}
    run = run_of("classification", **IMAGES, **FAVIT_RECIPE, **fast, image_size=SIZE, batch_size=batch)
    configure(run, 0, device)
    training = Steps(run, root, device)
    ours = stepper(training, steps)
    with Elsewhere(plain_images, root, device, batch, steps) as theirs:
        result = compare(theirs, ours, repeats, warmup=1)
    print(result.line("FaViT-B0 at 224, plain loop / ours"))
    print(
        f"    {batch * steps / result.seconds_a:8.1f} / {batch * steps / result.seconds_b:8.1f} images a second"
    )
    print(f"    {100 * outside_the_model(training, steps, repeats):.1f} % of our step is outside the model")
    eager = {**run, "compile": False}
    twin = Steps(eager, root, device)
    forward = count(twin.task.model, torch.zeros(1, 3, SIZE, SIZE, device=device)).macs
    flops = 3 * 2 * batch * forward  # backward costs twice as much as forward
    work = Work.of(stepper(twin, 1), flops)
    print("    " + work.line(result.seconds_b / steps, device, torch.bfloat16))


def stepper(training: Steps, steps: int) -> Callable[[], None]:
    """A call trains so many steps."""

    def call() -> None:
        for _ in range(steps):
            training.step()
        synchronise(training.device)

    return call


def outside_the_model(training: Steps, steps: int, repeats: int) -> float:
    """Share of a step that goes away when the input is there already and the same step is all that is left."""
    epoch, batch, examples = training.next()

    def model_alone() -> None:
        for _ in range(steps):
            training.learner.step(batch, examples, epoch)
        synchronise(training.device)

    whole = stepper(training, steps)
    shares = [1 - timed(model_alone) / timed(whole) for _ in range(repeats + 1)]
    return statistics.median(shares[1:])


def plain_images(root: Path, device: torch.device, batch: int, steps: int) -> Callable[[], None]:
    """timm's per-image transforms in two workers, float32, eager, plain AdamW."""
    from favit.data import cifar100

    run = run_of(
        "classification",
        **IMAGES,
        image_size=SIZE,
        drop_path=0.1,
        fused=False,
    )
    model = build.model(run, cifar100.FACTS, device).train()
    optimiser = optimizer.build(model, parse(Optimisation, run))
    loader = torch.utils.data.DataLoader(
        PerImage(root),
        batch,
        shuffle=True,
        num_workers=2,
        drop_last=True,
        persistent_workers=True,
        multiprocessing_context="fork",  # this process was spawned, and workers would be too
    )
    mixing, batches = timm_mixup(), forever(loader)

    def call() -> None:
        for _ in range(steps):
            images, labels = next(batches)
            images, targets = mixing(images.to(device), labels.to(device))
            loss = nn.functional.cross_entropy(model(images), targets)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            loss.item()  # as plain loops log
        synchronise(device)

    return call


class PerImage(torch.utils.data.Dataset):
    """Pillow images through timm's transforms."""

    def __init__(self, root: Path) -> None:
        from favit.data import cifar100

        data = cifar100.load(root, {})
        self.images, self.labels = data.train_images.permute(0, 2, 3, 1).numpy(), data.train_labels
        self.transform = timm_transform()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        from PIL import Image

        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


# -- training Informer --------------------------------------------------------------------------------


def bench_windows(device: torch.device, root: Path, repeats: int) -> None:
    """Windows a second of the recipe's Informer, and of one so small that only the loop counts."""
    for name, small in (
        ("recipe", {}),
        ("d_model 32", {"model.d_model": 32, "model.d_ff": 64, "model.n_heads": 2}),
    ):
        run = run_of(
            "forecasting",
            **SERIES,
            **small,
        )
        steps = 50 if device.type == "cuda" else (10 if small else 2)
        configure(run, 0, device)
        ours = stepper(Steps(run, root, device), steps)
        with Elsewhere(plain_windows, root, device, run, steps) as theirs:
            result = compare(theirs, ours, repeats)
        print(result.line(f"Informer ({name}), DataLoader loop / ours"))
        print(
            f"    {32 * steps / result.seconds_a:8.0f} / {32 * steps / result.seconds_b:8.0f} windows a second"
        )


def plain_windows(root: Path, device: torch.device, run: dict[str, Any], steps: int) -> Callable[[], None]:
    """A data set of windows cut by numpy, batches put together by a DataLoader, plain Adam."""
    from favit.data import etth1

    series = etth1.load(root, run)
    model = build.model(run, series.facts, device).train()
    optimiser = optimizer.build(model, parse(Optimisation, {**run, "fused": False}))
    windows = PerWindow(series, run)
    batches = forever(torch.utils.data.DataLoader(windows, run["batch_size"], shuffle=True, drop_last=True))

    def call() -> None:
        for _ in range(steps):
            *inputs, target = (t.float().to(device) for t in next(batches))
            loss = (model(*inputs) - target).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            loss.item()
        synchronise(device)

    return call


class PerWindow(torch.utils.data.Dataset):
    """One window at a time."""

    def __init__(self, series: Any, run: dict[str, Any]) -> None:
        self.values, self.marks = series.standardise().numpy(), series.marks.numpy()
        self.starts = series.window_starts("train", run["input_length"], run["horizon"])
        self.lengths = run["input_length"], run["label_length"], run["horizon"]

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        first, (length, label, horizon) = self.starts[index], self.lengths
        middle = first + length
        decoder = slice(middle - label, middle + horizon)
        x_dec = self.values[decoder].copy()
        x_dec[label:] = 0
        encoder = slice(first, middle)
        return (
            self.values[encoder],
            self.marks[encoder],
            x_dec,
            self.marks[decoder],
            self.values[middle : middle + horizon],
        )


# -- measuring ------------------------------------------------------------------------------------------


def forever(loader: Any) -> Iterator[Any]:
    """Epoch after epoch."""
    while True:
        yield from loader


def synchronise(device: torch.device) -> None:
    """Wait for a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def timed(call: Callable[[], None]) -> float:
    """Seconds."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
