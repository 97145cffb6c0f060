"""The contract of aggregators; ``favit/aggregators/__init__.py`` has it in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from favit.analysis.count import count
from favit.components import registry
from favit.components.flags import flag
from favit.models.favit import FaViT, Shape

BATCH, HEADS, CHANNELS, GRID, QUERIES = 3, 2, 5, (2, 3), 20
WINDOWS = GRID[0] * GRID[1]
GRIDS = ((1, 1), (1, 2), (2, 3), (8, 8))
MOST = 1.15  # times what max_pool takes, in arithmetic and in memory for the backward pass

Inputs = tuple[Tensor, Tensor, Callable[[], tuple[Tensor, Tensor]], tuple[int, int]]


def takes_any_grid_of_windows(name: str) -> None:
    """Samples of any grid of windows become 49 finite tokens of the same type."""
    for grid in GRIDS:
        samples, *rest = _inputs(grid=grid)
        tokens = _aggregator(name, grid[0] * grid[1])(samples, *rest)
        wanted = (BATCH, HEADS, 49, CHANNELS)
        assert tokens.shape == wanted, f"tokens of a {grid} grid are {tuple(tokens.shape)}, not {wanted}"
        assert tokens.dtype == samples.dtype, f"tokens are {tokens.dtype}, samples {samples.dtype}"
        assert tokens.isfinite().all(), "tokens are not finite"


def passes_gradients(name: str) -> None:
    """Gradients reach the samples of every image and head, and every parameter."""
    fuse = _aggregator(name)
    samples, *rest = _inputs()
    samples.requires_grad_()
    fuse(samples, *rest).square().sum().backward()
    assert samples.grad is not None, "the samples have no gradient"
    assert samples.grad.isfinite().all(), "the samples' gradient is not finite"
    reached = samples.grad.flatten(2).abs().sum(2) > 0
    uses = flag("aggregators", name, "USES_SAMPLES")
    assert (reached == uses).all(), (
        f"USES_SAMPLES is {uses}, but the gradient of the samples shows the opposite"
    )
    for key, parameter in fuse.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, f"no gradient reaches {key}"


def keeps_images_apart(name: str) -> None:
    """An image's tokens do not depend on other images of the batch, in training and evaluation."""
    for training in (True, False):
        fuse = _aggregator(name).train(training)
        samples, queries, key_map, grid = _inputs()
        together = fuse(samples, queries, key_map, grid)
        alone = [fuse(samples[i : i + 1], queries[i : i + 1], key_map, grid) for i in range(BATCH)]
        torch.testing.assert_close(together, torch.cat(alone))


def draws_no_random_number(name: str) -> None:
    """``forward`` draws no random numbers and repeats itself."""
    fuse = _aggregator(name)
    arguments = _inputs()
    before = torch.get_rng_state()
    first = fuse(*arguments)
    assert torch.equal(torch.get_rng_state(), before), "it draws from torch's global generator"
    assert torch.equal(fuse(*arguments), first), "a second call gives different tokens"


def repeats_with_checkpointing(name: str) -> None:
    """The same seed gives a model the same gradients with and without checkpointing."""
    model, images = small_model(name).train(), torch.randn(2, 3, 64, 64)
    _resample(model, seed=1)
    plain = _gradients(model, images)
    model.set_grad_checkpointing()
    _resample(model, seed=1)
    for key, gradient in _gradients(model, images).items():
        torch.testing.assert_close(gradient, plain[key], msg=f"the gradient of {key} differs")


def keeps_its_gradient_when_checkpointed(name: str) -> None:
    """Checkpointing the aggregator alone keeps its gradient to the bit."""
    fuse = _aggregator(name).train()
    samples, *rest = _inputs()
    samples.requires_grad_()
    (plain,) = torch.autograd.grad(fuse(samples, *rest).square().sum(), samples)
    again = checkpoint(fuse, samples, *rest, use_reentrant=False)
    assert torch.equal(torch.autograd.grad(again.square().sum(), samples)[0], plain)


def stays_on_the_device_of_its_input(name: str) -> None:
    """Its output is on the device of its input, as on a GPU; costs are counted on torch's meta device."""
    samples, queries, key_map, grid = _inputs()
    weight, bias = (part.to("meta") for part in key_map())
    tokens = _aggregator(name).to("meta")(
        samples.to("meta"), queries.to("meta"), lambda: (weight, bias), grid
    )
    assert tokens.device.type == "meta", f"tokens are on {tokens.device}"


def compiles_as_one_graph(name: str) -> None:
    """``torch.compile`` makes one graph with equal results, in training and evaluation."""
    for training in (True, False):
        torch.compiler.reset()
        fuse = _aggregator(name).train(training)
        samples, queries, key_map, grid = _inputs()
        compiled = _compiled(fuse, key_map, grid)
        ours, theirs = samples.clone().requires_grad_(), samples.clone().requires_grad_()
        fused, plain = compiled(ours, queries), fuse(theirs, queries, key_map, grid)
        torch.testing.assert_close(fused, plain)
        fused.square().sum().backward()
        plain.square().sum().backward()
        torch.testing.assert_close(ours.grad, theirs.grad)


def takes_channels_last(name: str) -> None:
    """Channels-last images give equal results."""
    model, images = small_model(name).eval(), torch.randn(2, 3, 64, 64)
    plain = model(images)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    last = model(images.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(last, plain, rtol=1e-4, atol=1e-5)


def trains_under_autocast(name: str) -> None:
    """A model with it trains under bfloat16 autocast with finite gradients."""
    model, images = small_model(name).train(), torch.randn(2, 3, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(images)
    logits.float().square().sum().backward()
    assert logits.isfinite().all(), "logits are not finite"
    gradients = [p.grad for p in model.parameters()]
    assert all(g is not None and g.isfinite().all() for g in gradients), "a gradient is missing or not finite"


def runs_in_half_precision(name: str) -> None:
    """It preserves float16 and bfloat16, alone and in a model."""
    for dtype in (torch.float16, torch.bfloat16):
        fuse = _aggregator(name).to(dtype)
        samples, *rest = _inputs(dtype=dtype)
        tokens = fuse(samples, *rest)
        assert tokens.dtype == dtype, f"samples of {dtype} give tokens of {tokens.dtype}"
        assert tokens.isfinite().all(), f"tokens in {dtype} are not finite"
        assert small_model(name).to(dtype).eval()(torch.randn(1, 3, 64, 64, dtype=dtype)).isfinite().all()


def costs_little_arithmetic(name: str) -> None:
    """FaViT-B0 with it needs at most 1.15 times the arithmetic of max_pool."""
    ratio = _full_size_macs(name) / _full_size_macs("max_pool")
    assert ratio <= MOST, f"it takes {ratio:.2f} times as many multiply-accumulates as max_pool"


def keeps_little_for_backward(name: str) -> None:
    """FaViT with it stores at most 1.15 times as much for the backward pass as with max_pool."""
    ours, pooled = (_bytes_kept(small_model(n, img_size=112), 112) for n in (name, "max_pool"))
    assert ours <= MOST * pooled, f"it keeps {ours / pooled:.2f} times as many bytes as max_pool"


def the_model_compiles(name: str) -> None:
    """A model with it compiles to one graph with both backends, in training and evaluation."""
    for training in (True, False):
        for backend in ("aot_eager", "inductor"):
            _check_compiled_model(name, training, backend)


CHECKS = (
    takes_any_grid_of_windows,
    passes_gradients,
    keeps_images_apart,
    draws_no_random_number,
    repeats_with_checkpointing,
    keeps_its_gradient_when_checkpointed,
    stays_on_the_device_of_its_input,
    compiles_as_one_graph,
    takes_channels_last,
    trains_under_autocast,
    runs_in_half_precision,
    costs_little_arithmetic,
    keeps_little_for_backward,
)
SLOW = (the_model_compiles,)


def small_model(name: str, img_size: int = 64) -> FaViT:
    """FaViT with one block a stage; at 64 pixels the first three stages have several windows."""
    shape = Shape((32, 64, 128, 256), (1, 1, 1, 1))
    return FaViT(shape, num_classes=7, img_size=img_size, aggregator=name)


def _aggregator(name: str, windows: int = WINDOWS) -> Any:
    return registry.load("aggregators", name).Aggregator(CHANNELS, HEADS, windows)


def _inputs(batch: int = BATCH, grid: tuple[int, int] = GRID, dtype: torch.dtype = torch.float32) -> Inputs:
    samples = torch.randn(batch, HEADS, 49, grid[0] * grid[1], CHANNELS, dtype=dtype)
    queries = torch.randn(batch, HEADS, QUERIES, CHANNELS, dtype=dtype)
    key = torch.randn(CHANNELS, CHANNELS, dtype=dtype), torch.randn(CHANNELS, dtype=dtype)
    return samples, queries, lambda: key, grid


def _resample(module: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        resample: Any = getattr(part, "resample", None)
        if resample is not None:
            resample(generator)


def _gradients(model: nn.Module, images: Tensor) -> Mapping[str, Tensor]:
    model.zero_grad()
    model(images).square().sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def _compiled(fuse: nn.Module, key_map: Any, grid: tuple[int, int]) -> Callable[[Tensor, Tensor], Tensor]:
    return torch.compile(lambda s, q: fuse(s, q, key_map, grid), fullgraph=True, backend="aot_eager")


def _check_compiled_model(name: str, training: bool, backend: str) -> None:
    torch.compiler.reset()
    model, images = small_model(name).train(training), torch.randn(2, 3, 64, 64)
    compiled: Any = torch.compile(model, fullgraph=True, backend=backend)
    with torch.no_grad():
        torch.testing.assert_close(compiled(images), model(images), rtol=1e-3, atol=1e-4)
    # Gradients in double precision: before training ProbSparse's scores are so near each other that rounding
    # in single precision, which compilation changes, decides which tokens a gradient goes to.
    model, images = model.double(), images.double()
    plain = _gradients(model, images)
    for key, gradient in _gradients(compiled, images).items():
        torch.testing.assert_close(gradient, plain[key.removeprefix("_orig_mod.")], msg=key)


@cache
def _full_size_macs(name: str) -> float:
    with torch.device("meta"):
        model = FaViT(Shape((32, 64, 128, 256), (2, 2, 6, 2)), aggregator=name)
    return float(count(model, torch.empty(1, 3, 224, 224, device="meta")).macs)


def _bytes_kept(model: nn.Module, size: int) -> int:
    """Bytes of activations that autograd keeps, each storage once, parameters left out."""
    kept: dict[int, tuple[int, Tensor]] = {}
    parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.train()(torch.randn(2, 3, size, size))
    return sum(size for size, _ in kept.values())
