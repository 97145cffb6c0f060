"""The contract of models; ``favit/models/__init__.py`` has it in words. Names are those of ``VARIANTS``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from favit.components import declared, registry
from favit.components.literals import task_of, trained
from favit.sweeps.resolve import resolve
from favit.train import build

BATCH, SIZES = 2, (64, 224)
IMAGES = {"classes": 7, "channels": 3, "image_size": 32}
SERIES = {"variables": 3, "time_features": 4}
_LENGTHS = {"input_length": 24, "label_length": 12, "horizon": 6}
_DEVICE = torch.device("cpu")
_FIRST = ("none", "max_pool", "full", "sinusoidal")  # mechanisms to try it with, before all others


def answers_in_the_shape_of_its_task(name: str) -> None:
    """Images (B, 3, S, S) give (B, classes); a window's four tensors give (B, horizon, variables)."""
    model, run = _built(name)
    out, wanted = model.eval()(*_inputs(run)), _answer(run)
    assert isinstance(out, Tensor), f"the output is a {type(out).__name__}, not a tensor"
    assert out.dtype == torch.float32, f"the output is {out.dtype}, not torch.float32 as the input"
    assert out.shape == wanted, f"the output is {tuple(out.shape)}, not {wanted}"
    assert out.isfinite().all(), "the output is not finite"


def passes_gradients(name: str) -> None:
    """Gradients reach every parameter that is trained, and are finite."""
    if not trained(name):
        return
    model, run = _built(name)
    assert any(p.requires_grad for p in model.parameters()), (
        "it has no parameter to train; a model that learns nothing says TRAINED = False"
    )
    model.train()(*_inputs(run)).square().sum().backward()
    for key, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, (
                f"no gradient reaches {key}, on which several processes would fail"
            )
            assert parameter.grad.isfinite().all(), f"the gradient of {key} is not finite"


def keeps_examples_apart(name: str) -> None:
    """In evaluation an example's output does not depend on other examples of the batch."""
    model, run = _built(name)
    inputs = _inputs(run)
    with torch.no_grad():
        both, alone = model.eval()(*inputs), model(*(tensor[1:] for tensor in inputs))
    torch.testing.assert_close(both[1:], alone, rtol=1e-3, atol=1e-4)


def repeats_itself_in_evaluation(name: str) -> None:
    """In evaluation it uses no random numbers of torch and repeats itself."""
    model, run = _built(name)
    inputs = _inputs(run)
    before = torch.get_rng_state()
    with torch.no_grad():
        first, second = model.eval()(*inputs), model(*inputs)
    assert torch.equal(torch.get_rng_state(), before), "it draws from torch's global generator"
    assert torch.equal(first, second), "a second call gives a different result"


def stays_on_the_device_of_its_input(name: str) -> None:
    """Its output is on the device of its input, as on a GPU; costs are counted on torch's meta device."""
    model, run = _built(name)
    out = model.eval().to("meta")(*(tensor.to("meta") for tensor in _inputs(run)))
    assert out.device.type == "meta", f"the output is on {out.device}"


def begins_with_weights_that_follow_from_the_seed(name: str) -> None:
    """The same seed gives the same initial weights, whatever was drawn before."""
    states = []
    for drawn in (1, 7):
        torch.rand(drawn)
        states.append(_built(name)[0].state_dict())
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), f"{key} has different initial values the second time"


def trains_under_autocast(name: str) -> None:
    """It trains under bfloat16 autocast with finite values."""
    if not trained(name):
        return
    model, run = _built(name)
    with torch.autocast("cpu", torch.bfloat16):
        out = model.train()(*_inputs(run))
    out.float().square().sum().backward()
    assert out.isfinite().all(), "the output is not finite"
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


CHECKS = (
    answers_in_the_shape_of_its_task,
    passes_gradients,
    keeps_examples_apart,
    repeats_itself_in_evaluation,
    stays_on_the_device_of_its_input,
    begins_with_weights_that_follow_from_the_seed,
    trains_under_autocast,
)
SLOW = ()


def _built(name: str) -> tuple[nn.Module, Mapping[str, Any]]:
    """The model as training builds it, with the first mechanisms and the smallest image that it takes."""
    run = _run(name)
    facts = IMAGES if "image_size" in run else SERIES
    return build.model(run, facts, _DEVICE), run


@cache
def _run(name: str) -> Mapping[str, Any]:
    """The settings of a run that such a model can be built for; ``ValueError`` with the last reason for none."""
    reason = ValueError("no data set fits it")
    task = declared.task_of_model(name)
    data = next(d for d in ("digits", "seattle_weather", *registry.names("data")) if task_of(d) == task)
    for axes in _mechanisms(name):
        for size in SIZES if task == "classification" else (0,):
            more = {"image_size": size} if size else {**_LENGTHS, "schedule": "constant"}
            try:
                run = resolve({"dataset": data, "model": name, **axes, "seed": 0, **more}).settings
                build.model(run, IMAGES if size else SERIES, _DEVICE)
                return run
            except ValueError as error:
                reason = error
    raise reason


def _mechanisms(name: str) -> list[dict[str, str]]:
    if not declared.aggregates(name):
        return [{"aggregator": "none", "encoding": "none"}]
    rooms = declared.room_of(name), "encodings"
    aggregators, encodings = (sorted(registry.names(r), key=lambda n: n not in _FIRST) for r in rooms)
    return [{"aggregator": a, "encoding": e} for a in aggregators for e in encodings[:3]]


def _inputs(run: Mapping[str, Any]) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(3)
    if "image_size" in run:
        size = run["image_size"]
        return (torch.randn(BATCH, IMAGES["channels"], size, size, generator=generator),)
    variables, features = SERIES["variables"], SERIES["time_features"]
    steps = run["label_length"] + run["horizon"]
    shapes = [
        (run["input_length"], variables),
        (run["input_length"], features),
        (steps, variables),
        (steps, features),
    ]
    tensors = [torch.randn(BATCH, *shape, generator=generator) for shape in shapes]
    tensors[2][:, run["label_length"] :] = 0  # what is to be forecast is not shown
    return tuple(tensors)


def _answer(run: Mapping[str, Any]) -> tuple[int, ...]:
    if "image_size" in run:
        return BATCH, IMAGES["classes"]
    return BATCH, run["horizon"], SERIES["variables"]
