"""Steps, evaluation and resumption on the simulated GPU: the CPU's numbers, and never a wait in a step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest
import torch

from tests.simulated_gpu.cases import PRECISIONS, Steps, every_mechanism, images, report, series, trained
from tests.simulated_gpu.gpu import CUDA, simulated_gpu
from tests.simulated_gpu.tensor import Record, SimulatedTensor

CPU = torch.device("cpu")
MECHANISMS = every_mechanism()
SETTINGS = {
    "jitter": images(randaugment="", color_jitter=0.4),
    "no crop": images(crop_scale_min=1.0, interpolation="bilinear"),
    "without the fused optimizer": images(fused=False, ema=0.0, clip_grad=0.0, channels_last=True),
}

pytestmark = pytest.mark.usefixtures("small_favit")


def often(names: Iterable[str], rarely: tuple[str, ...]) -> list[Any]:
    """The names, of which some are left to the slow tests: what these do is done by others, too."""
    return [pytest.param(name, marks=[pytest.mark.slow] if name in rarely else []) for name in names]


RARELY = (
    "encoding legendre of images",
    "encoding sinusoidal of images",
    "encoding temporal of series",
    "encoding none of images",
    "aggregator probsparse, exact, max",
    "no crop",
)


@pytest.mark.parametrize("name", often(MECHANISMS, RARELY))
def test_every_mechanism_takes_its_steps_without_a_wait(name: str) -> None:
    compare_step(MECHANISMS[name], name)


@pytest.mark.parametrize("name", often(SETTINGS, RARELY))
def test_other_settings_take_their_steps_without_a_wait(name: str) -> None:
    compare_step(SETTINGS[name], name)


@pytest.mark.parametrize("precision", PRECISIONS[1:])
@pytest.mark.parametrize("make", [images, series], ids=["FaViT", "Informer"])
def test_every_precision_takes_its_steps_without_a_wait(make: Any, precision: str) -> None:
    compare_step(make(precision=precision), precision)


def compare_step(run: Mapping[str, Any], name: str) -> None:
    """One step on both devices; erasing is left out, whose noise each device draws with a generator of its own."""
    run = {**run, "erasing": 0.0} if "erasing" in run else run
    expected = float(Steps(run, CPU).step().detach())
    with simulated_gpu() as gpu:
        steps = Steps(run)
        with gpu.recorded() as prepared:
            epoch, batch, examples = steps.next()
        with gpu.recorded() as stepped:
            loss = steps.learner.step(batch, examples, epoch)
        report(name, prepared=prepared, stepped=stepped)
        assert isinstance(loss, SimulatedTensor) and loss.device == CUDA
        found = float(loss)
    assert not prepared.faults + stepped.faults
    tolerance = {"float32": 1e-3, "bfloat16": 0.03, "float16": 0.03}[run["precision"]]
    assert found == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("make", [images, series], ids=["FaViT", "Informer"])
def test_an_evaluation_waits_once(make: Any) -> None:
    run = make()
    with simulated_gpu() as gpu:
        steps = Steps(run)
        with gpu.recorded() as found:
            scores = steps.learner.score(steps.task.evaluate, lambda: None)
    expected = Steps(run, CPU)
    assert scores == pytest.approx(expected.learner.score(expected.task.evaluate, lambda: None), rel=1e-3)
    assert waits(found) == 1 and found.faults.total() == 1, found.faults


def waits(record: Record) -> int:
    return sum(count for fault, count in record.faults.items() if fault.startswith("wait"))


@pytest.mark.parametrize(
    "make", [pytest.param(images, marks=pytest.mark.slow), series], ids=["FaViT", "Informer"]
)
def test_a_resumed_run_repeats_the_bits(make: Any) -> None:
    """Stopped within the first epoch and within the second, each time gone on with from what was packed."""
    run = make(limit_train=8) if make is images else make()
    with simulated_gpu():
        whole, resumed = trained(run, CUDA), trained(run, CUDA, 1, 4)
    assert whole[0].keys() == resumed[0].keys()
    assert all(torch.equal(value, resumed[0][name]) for name, value in whole[0].items())
    assert whole[1] == resumed[1]
    assert whole[2].metrics == resumed[2].metrics


@pytest.mark.parametrize("make", [images, series], ids=["FaViT", "Informer"])
def test_the_next_batch_is_prepared_beside_the_model(make: Any) -> None:
    """On one side stream in all epochs; the main one does nothing for it."""
    with simulated_gpu() as gpu:
        steps = Steps(make(limit_train=8) if make is images else make())
        steps.next()
        before, streams = gpu.streams.main.count, set()
        for _ in range(2 * steps.task.order.steps):
            with gpu.recorded() as found:
                steps.next()
            assert found.launches and not found.faults
            streams.add(max(gpu.streams.main.knows, key=lambda stream: stream.count))
        assert gpu.streams.main.count == before
        assert len(streams) == 1
