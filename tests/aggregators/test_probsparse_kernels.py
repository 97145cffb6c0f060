"""The Triton kernels of ProbSparse fusion: interpreted on the CPU against the definitions, and compiled for GPUs."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import math
import multiprocessing
import os
import re
import subprocess
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from favit.aggregators import _probsparse_gpu as gpu
from favit.aggregators._selection import by_window
from favit.aggregators.probsparse import Aggregator

if importlib.util.find_spec("triton") is None:
    missing = "triton is not installed: make kernels"
    if os.environ.get("CI"):
        pytest.fail(missing, pytrace=False)
    pytest.skip(missing, allow_module_level=True)


def load(name: str) -> ModuleType:
    """The kernels as a module of their own."""
    file = Path(gpu.__file__).with_name("_probsparse_triton.py")
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Interpreted:
    """The kernels in a process of their own, where Triton interprets them, itself included, and any tensor will do."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def divergence(self, *arguments: Any) -> torch.Tensor:
        found: torch.Tensor = self._call("divergence", arguments)
        return found

    def choice(self, *arguments: Any) -> tuple[torch.Tensor, torch.Tensor]:
        found: tuple[torch.Tensor, torch.Tensor] = self._call("choice", arguments)
        return found

    def _call(self, name: str, arguments: tuple[Any, ...]) -> Any:
        file = io.BytesIO()
        torch.save(arguments, file)  # which keeps strides, as pickling would not
        self._connection.send((name, file.getvalue()))
        return torch.load(io.BytesIO(self._connection.recv_bytes()))


def interpret(connection: Connection) -> None:
    """The other process: one answer for each call, until the connection is closed."""
    torch.set_num_threads(1)
    module = load("interpreted_kernels")
    with contextlib.suppress(EOFError):
        while True:
            name, arguments = connection.recv()
            file = io.BytesIO()
            torch.save(getattr(module, name)(*torch.load(io.BytesIO(arguments))), file)
            connection.send_bytes(file.getvalue())


@pytest.fixture(scope="module")
def kernels() -> Iterator[Interpreted]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=interpret, args=(theirs,), daemon=True)
    with mock.patch.dict(os.environ, {"TRITON_INTERPRET": "1"}):
        process.start()
    theirs.close()
    yield Interpreted(ours)
    ours.close()
    process.join(60)


# Grids, channels, queries, precision: none of them a kernel's own size, and one of each that is
SHAPES = [
    ((2, 2), 5, 9, torch.float32),
    ((1, 3), 14, 67, torch.bfloat16),
    ((2, 1), 16, 64, torch.float16),
]


def inputs(grid: tuple[int, int], channels: int, queries: int, dtype: torch.dtype) -> list[Any]:
    """Samples and queries as FaSA hands them out, views with gaps between what belongs to one head; a key map."""
    samples = torch.randn(2, 2, 49, grid[0] * grid[1], channels).to(dtype)
    samples[:, :, :, -1] = samples[:, :, :, 0]  # as padding makes them
    wide = torch.randn(2, queries, 2, 2, channels).to(dtype)
    wide[:, :, :, 0] = float("nan")  # what lies between shows where it is read
    key = torch.full((2 * channels, 2 * channels), float("nan"))
    weight = key[:channels, 1 : channels + 1].normal_(std=channels**-0.5).t()
    bias = torch.full((2 * channels,), float("nan"))[::2].normal_()
    return [by_window(samples), wide[:, :, :, 1].transpose(1, 2), weight, bias]


def place(index: int, columns: int) -> int:
    """By window, then position: where what is counted by row, then column of the map stands."""
    row, column = divmod(index, 7 * columns)
    return ((row // 7) * columns + column // 7) * 49 + (row % 7) * 7 + column % 7


def defined_divergence(
    queries_bhnc: torch.Tensor,
    samples_blhc: torch.Tensor,
    sample: torch.Tensor,
    columns: int,
    weight: torch.Tensor,
) -> torch.Tensor:
    places = [place(i, columns) for i in sample.tolist()]
    keys_bhlc = torch.stack([samples_blhc[:, p].double() @ weight.double().T for p in places], dim=2)
    log_p = (queries_bhnc.double() @ keys_bhlc.mT / math.sqrt(queries_bhnc.shape[3])).log_softmax(3)
    return (log_p.exp() * (log_p + math.log(len(places)))).sum(3)


@pytest.mark.parametrize(("grid", "channels", "queries", "dtype"), SHAPES)
@pytest.mark.parametrize("spread", [1e-3, 1.0, 30.0])
def test_divergence_is_that_of_softmax_in_double_precision(
    kernels: Interpreted,
    grid: tuple[int, int],
    channels: int,
    queries: int,
    dtype: torch.dtype,
    spread: float,
) -> None:
    samples_blhc, queries_bhnc, weight, _ = inputs(grid, channels, queries, dtype)
    queries_bhnc = (spread * queries_bhnc.float()).to(dtype)
    sample = torch.randperm(samples_blhc.shape[1])[:: samples_blhc.shape[1] // 30]  # with gaps as well
    found = kernels.divergence(queries_bhnc, samples_blhc, sample, grid[1], weight)
    assert found.is_contiguous() and found.dtype == torch.float32
    expected = defined_divergence(queries_bhnc, samples_blhc, sample, grid[1], weight)
    # Nearly uniform attention diverges by 1e-7, of scores that single precision has to 1e-8
    rtol = {1e-3: 1e-3, 1.0: 5e-6, 30.0: 2e-5}[spread]
    torch.testing.assert_close(found.double(), expected, rtol=rtol, atol=0)


def test_what_all_keys_have_in_common_does_not_show(kernels: Interpreted) -> None:
    """Not in those that fill up a block either, 29 of 64 here."""
    samples_blhc, queries_bhnc, weight, _ = inputs((2, 2), 5, 40, torch.float32)
    samples_blhc, queries_bhnc = samples_blhc + 300.0, 0.03 * queries_bhnc
    arguments = (queries_bhnc, samples_blhc, torch.randperm(196)[:35], 2, weight)
    found = kernels.divergence(*arguments).double()
    torch.testing.assert_close(found, defined_divergence(*arguments), rtol=1e-3, atol=0)


def defined_choice(
    queries_bhnc: torch.Tensor,
    divergence_bhn: torch.Tensor,
    samples_blhc: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    columns: int,
    count: int,
    pool: str,
) -> torch.Tensor:
    """The places by map of each image and head, one after another."""
    keys_blhc = samples_blhc.double() @ weight.double().T + bias.double()
    found = []
    for image in range(2):
        for head in range(2):
            of_queries = divergence_bhn[image, head].tolist()
            voters = sorted(range(len(of_queries)), key=lambda n: (-of_queries[n], n))[:count]
            each = queries_bhnc[image, head, voters].double() @ keys_blhc[image, :, head].T
            scores = each.amax(0) if pool == "max" else each.mean(0)
            by_map = [round(float(scores[place(m, columns)]), 6) for m in range(len(scores))]
            found.append(sorted(sorted(range(len(scores)), key=lambda m: (-by_map[m], m))[:49]))
    return torch.tensor(found).view(2, 2, 49)


@pytest.mark.parametrize(("grid", "channels", "queries", "dtype"), SHAPES)
@pytest.mark.parametrize("pool", ["mean", "max"])
def test_the_choice_is_that_of_all_scores_sorted(
    kernels: Interpreted, grid: tuple[int, int], channels: int, queries: int, dtype: torch.dtype, pool: str
) -> None:
    """The last window is the first once more, so that many of the places are decided by their order."""
    samples_blhc, queries_bhnc, weight, bias = inputs(grid, channels, queries, dtype)
    samples_blhc[:, -49:] = samples_blhc[:, :49]
    # With gaps as well; below 0, which what fills up a block must not be above: rounding makes them so
    divergence_bhn = -torch.rand(2, 2, 2 * queries)[:, :, ::2]
    arguments = (queries_bhnc, divergence_bhn, samples_blhc, weight, bias, grid[1], 4, pool)
    by_map, by_window = kernels.choice(*arguments)
    assert torch.equal(by_map, defined_choice(*arguments))
    places = torch.tensor([place(m, grid[1]) for m in range(samples_blhc.shape[1])])
    assert torch.equal(by_window, places[by_map])
    assert by_map.is_contiguous() and by_window.is_contiguous()


@pytest.mark.parametrize("pool", ["mean", "max"])
def test_equal_scores_go_to_the_first_places_and_equal_queries_vote_in_their_order(
    kernels: Interpreted, pool: str
) -> None:
    samples_blhc, queries_bhnc, weight, bias = inputs((2, 3), 5, 9, torch.float32)
    same = samples_blhc[:, :1].expand_as(samples_blhc)
    even = torch.zeros(2, 2, 9)
    even[:, :, 0] = -0.0  # equal to 0
    by_map, _ = kernels.choice(queries_bhnc, even, same, weight, bias, 3, 2, pool)
    assert torch.equal(by_map, torch.arange(49).expand(2, 2, 49))
    nothing = torch.zeros_like(samples_blhc)
    nothing[:, 1::2] = -0.0
    by_map, _ = kernels.choice(queries_bhnc, even, nothing, weight, 0 * bias, 3, 2, pool)
    assert torch.equal(by_map, torch.arange(49).expand(2, 2, 49))
    first = torch.zeros(2, 2, 9)
    first[:, :, :2] = 1.0
    given = (queries_bhnc, samples_blhc, weight, bias, 3, 2, pool)
    of_equals, of_first = (kernels.choice(given[0], d, *given[1:])[0] for d in (even, first))
    assert torch.equal(of_equals, of_first)


def test_scores_are_not_rounded_to_less_than_single_precision(kernels: Interpreted) -> None:
    """2049 x - 2048 x, exact in single precision: of queries or samples in half precision much is equal."""
    samples_blhc, queries_bhnc, _, bias = inputs((2, 2), 5, 9, torch.float32)
    queries_bhnc = torch.tensor([2049.0, -2048.0, 0.0, 0.0, 0.0]).expand_as(queries_bhnc)
    ranks = torch.randperm(196)
    samples_blhc = (5001.0 + ranks)[:, None, None].expand_as(samples_blhc)
    expected = [m for m in range(196) if ranks[place(m, 2)] >= 196 - 49]
    for pool in ("mean", "max"):
        given = (queries_bhnc, torch.zeros(2, 2, 9), samples_blhc, torch.eye(5), 0 * bias, 2, 4, pool)
        assert (kernels.choice(*given)[0] == torch.tensor(expected)).all()


def test_what_is_negative_infinite_or_no_number_has_its_place(kernels: Interpreted) -> None:
    """As torch sorts: no number is above infinity. It stays in its image and head."""
    samples_blhc, queries_bhnc, _, bias = inputs((2, 2), 5, 9, torch.float32)
    weight = torch.eye(5)
    queries_bhnc, samples_blhc = torch.ones_like(queries_bhnc), -samples_blhc.abs() - 1.0
    samples_blhc[0, place(150, 2), 1] = float("nan")
    samples_blhc[0, place(140, 2), 1] = -float("nan")  # with the sign bit, as some processors make them
    samples_blhc[0, place(160, 2), 1] = torch.tensor([float("inf"), 0.0, 0.0, 0.0, 0.0])
    samples_blhc[0, :, 0, 0] = -float("inf")
    samples_blhc[0, place(170, 2), 0] = -1e30
    even = torch.full((2, 2, 9), 0.5)
    for pool in ("mean", "max"):
        by_map, _ = kernels.choice(queries_bhnc, even, samples_blhc, weight, 0 * bias, 2, 3, pool)
        assert {140, 150, 160} <= set(by_map[0, 1].tolist())
        assert by_map[0, 0].tolist() == [*range(48), 170]
        arguments = (queries_bhnc[1:], even[1:], samples_blhc[1:], weight, 0 * bias, 2, 3, pool)
        assert torch.equal(by_map[1:], kernels.choice(*arguments)[0])
    divergence_bhn = even.clone()
    divergence_bhn[1, 0, 4] = float("nan")  # is largest, and its query votes
    queries_bhnc[1, 0, 4] = float("nan")
    by_map, _ = kernels.choice(queries_bhnc, divergence_bhn, samples_blhc, weight, bias, 2, 1, "mean")
    assert by_map[1, 0].tolist() == list(range(49))


def test_not_a_number_stays_in_its_image_and_head(kernels: Interpreted) -> None:
    samples_blhc, queries_bhnc, weight, _ = inputs((2, 2), 5, 9, torch.float32)
    samples_blhc, queries_bhnc = samples_blhc.clone(), queries_bhnc.clone()
    samples_blhc[0, 3, 1] = queries_bhnc[1, 0, 4] = float("nan")
    found = kernels.divergence(queries_bhnc, samples_blhc, torch.arange(100), 2, weight).isnan()
    assert found.sum() == 9 + 1 and found[0, 1].all() and found[1, 0, 4]


class Operations(TorchDispatchMode):
    """What is asked of torch."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(func._schema.name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ["divergence", "choice"])
def test_each_is_one_launch(name: str) -> None:
    """Of a kernel, in no other way than it is compiled in below, and nothing of torch's but memory."""
    module, launched = load("counted_kernels"), []
    for kernel in ("_divergence", "_choice"):
        started = mock.MagicMock()
        started.__getitem__.side_effect = lambda grid, kernel=kernel: (
            lambda *_, **given: launched.append((kernel, given))
        )
        setattr(module, kernel, started)
    samples_blhc, queries_bhnc, weight, bias = inputs((2, 2), 5, 9, torch.float32)
    divergence_bhn = torch.zeros(2, 2, 9)
    sample, bias = torch.arange(30), bias.contiguous()
    with Operations() as asked:
        if name == "divergence":
            module.divergence(queries_bhnc, samples_blhc, sample, 2, weight)
        else:
            module.choice(queries_bhnc, divergence_bhn, samples_blhc, weight, bias, 2, 3, "mean")
    assert [kernel for kernel, _ in launched] == [f"_{name}"]
    assert module._OPTIONS.items() <= launched[0][1].items()
    assert set(asked.names) == {"aten::empty"}


@pytest.mark.parametrize("pool", ["mean", "max"])
def test_a_selection_with_kernels_takes_what_one_without_takes(
    kernels: Interpreted, monkeypatch: pytest.MonkeyPatch, pool: str
) -> None:
    """The whole aggregator as on a GPU, the kernels in their operations' place."""
    fuse = Aggregator(14, 2, 6, pool=pool)
    fuse.resample(torch.Generator().manual_seed(5))
    samples_blhc, queries_bhnc, weight, bias = inputs((3, 2), 14, 70, torch.float32)
    expected = fuse.select(samples_blhc, queries_bhnc, lambda: (weight, bias), (3, 2))
    monkeypatch.setattr(gpu, "serve", lambda *_: True)
    monkeypatch.setattr(gpu, "divergence", kernels.divergence)

    def choice(q: Any, d: Any, x: Any, key: Any, grid: Any, count: int, pool: str) -> Any:
        return kernels.choice(q, d, x, *key, grid[1], count, pool)

    monkeypatch.setattr(gpu, "choice", choice)
    claims = mock.PropertyMock(return_value=True)
    with mock.patch.object(torch.Tensor, "is_cuda", claims):
        found = fuse.select(samples_blhc, queries_bhnc, lambda: (weight, bias), (3, 2))
    assert claims.called
    assert torch.equal(found, expected)


KERNELS = {
    "divergence": {"block_n": 32, "block_s": 64},
    # 224 pixels, the first stage; by max, which holds what the mean does and the scores so far besides
    "choice by max": {"block_n": 4096, "block_l": 4096, "pool_is_mean": False},
    "choice by mean": {"block_n": 256, "block_l": 256, "pool_is_mean": True},  # the third stage
}
NUMBERS = ("weight", "bias", "found", "divergence")
POINTERS = {"sample": "*i64", "by_map": "*i64", "by_window": "*i64", **dict.fromkeys(NUMBERS, "*fp32")}


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("name", KERNELS)
def test_kernels_compile_for_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, capability: int
) -> None:
    """To machine code of A100 and H100, by the assembler that Triton brings, in single precision, without spilling."""
    from triton.backends import nvidia
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    module = load("compiled_kernels")
    kernel = getattr(module, f"_{name.partition(' ')[0]}")
    constants = {**KERNELS[name], "channels": 14, "block_c": 16}
    signature = {}
    for argument in kernel.arg_names:
        pointer = "*bf16" if argument in ("queries", "samples") else POINTERS.get(argument)
        plain = "fp32" if argument == "scale" else "i32"
        signature[argument] = "constexpr" if argument in constants else pointer or plain
    places = {(kernel.arg_names.index(key),): value for key, value in constants.items()}
    made = compile(
        ASTSource(kernel, signature, places, {}),
        target=GPUTarget("cuda", capability, 32),
        options={**module._OPTIONS, "num_warps": module.warps(*KERNELS[name].values())},
    )
    assert made.asm["cubin"]
    assert "tf32" not in made.asm["ptx"]
    may_be_fused = re.findall(r"\b(?:add|sub|mul)\.f32", made.asm["ptx"])
    assert not may_be_fused, "lanes would round sums of the same two products differently"
    assert ("max.NaN.f32" in made.asm["ptx"]) == (name == "choice by max"), (
        "as the interpreter's maximum is anyway"
    )
    (tmp_path / "kernel.cubin").write_bytes(made.asm["cubin"])
    reader = Path(nvidia.__file__).with_name("bin") / "cuobjdump"
    command = [reader, "--dump-resource-usage", tmp_path / "kernel.cubin"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert " STACK:0 " in said and " LOCAL:0 " in said, "registers are spilled"
