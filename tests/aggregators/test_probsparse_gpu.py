"""The operations that ProbSparse fusion takes on a GPU: what they fall back to, and what the fusion makes of them."""

from __future__ import annotations

import sys
import warnings
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from favit.aggregators import _probsparse_gpu as gpu
from favit.aggregators._selection import by_window
from favit.aggregators.probsparse import Aggregator
from tests.simulated_gpu.gpu import CUDA, simulated_gpu


@pytest.fixture
def unbroken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "_broken", set())


def kernels(monkeypatch: pytest.MonkeyPatch, call: Any) -> None:
    """Stand-ins of this name for the module of kernels."""
    stand_in = SimpleNamespace(divergence=call)
    monkeypatch.setitem(sys.modules, "favit.aggregators._probsparse_triton", stand_in)
    monkeypatch.setattr("favit.aggregators._probsparse_triton", stand_in, raising=False)


@pytest.mark.usefixtures("unbroken")
def test_what_cannot_be_compiled_is_said_once_and_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def no_compiler(*_: Any) -> torch.Tensor:
        calls.append(1)
        raise RuntimeError("Failed to find C compiler")

    kernels(monkeypatch, no_compiler)
    run = gpu._with_kernels("divergence", lambda x: x + 1)
    with pytest.warns(UserWarning, match=r"without its kernel 'divergence'.*Failed to find C compiler"):
        assert run(torch.zeros(1)) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run(torch.zeros(1)) == 1
    assert len(calls) == 1


@pytest.mark.usefixtures("unbroken")
def test_a_machine_without_triton_or_gpu_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here it is real: Triton is not installed, or finds no driver."""
    if torch.cuda.is_available():
        pytest.skip("a GPU is here")
    samples, queries = torch.randn(1, 2, 49, 4, 5), torch.randn(1, 2, 9, 5)
    arguments = (queries, by_window(samples), torch.arange(30), 2, torch.randn(5, 5))
    with pytest.warns(UserWarning, match="goes without its kernel"):
        found = gpu._with_kernels("divergence", gpu._plain_divergence)(*arguments)
    assert torch.equal(found, gpu._plain_divergence(*arguments))


@pytest.mark.usefixtures("unbroken")
def test_a_full_gpu_is_no_reason_to_do_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> torch.Tensor:
        raise torch.OutOfMemoryError("full")

    kernels(monkeypatch, full)
    with pytest.raises(torch.OutOfMemoryError):
        gpu._with_kernels("divergence", lambda x: x)(torch.zeros(1))
    assert not gpu._broken


@pytest.mark.parametrize(
    ("changed", "serves"),
    [
        ({}, True),
        ({"device": "cpu"}, False),
        ({"dtype": torch.float64}, False),
        ({"sampled": 129}, False),
        ({"channels": 129}, False),
        ({"queries": 16385}, False),
        ({"samples": 16385}, False),
    ],
)
def test_the_operations_are_for_what_one_program_holds(changed: dict[str, Any], serves: bool) -> None:
    most = {"queries": 16384, "samples": 16384, "sampled": 128, "channels": 128}
    asked: dict[str, Any] = {**most, "device": "cuda", "dtype": torch.bfloat16, **changed}
    placed = {"device": asked["device"], "dtype": asked["dtype"]}
    with FakeTensorMode():
        queries_bhnc = torch.empty(1, 1, asked["queries"], asked["channels"], **placed)
        samples_blhc = torch.empty(1, asked["samples"], 1, asked["channels"], **placed)
        assert gpu.serve(queries_bhnc, samples_blhc, asked["sampled"]) == serves


@pytest.mark.parametrize("grid", [(4, 4), (2, 3)])
@pytest.mark.parametrize("options", [{}, {"pool": "max", "factor": 3}, {"measure": "exact"}])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_simulated_gpu_takes_what_the_cpu_takes(
    grid: tuple[int, int], options: dict[str, Any], dtype: torch.dtype
) -> None:
    channels, queries = 14, 120
    samples = torch.randn(2, 3, 49, grid[0] * grid[1], channels).to(dtype)
    query, key = torch.randn(2, 3, queries, channels).to(dtype), (torch.randn(14, 14), torch.randn(14))
    fuse = Aggregator(channels, 3, grid[0] * grid[1], **options)
    key = tuple(x.to(dtype) for x in key) if dtype == torch.float64 else key
    expected = fuse(samples, query, lambda: key, grid)
    with simulated_gpu() as device:
        there = Aggregator(channels, 3, grid[0] * grid[1], **options).to(CUDA)
        moved = [x.to(CUDA) for x in (samples, query, *key)]
        with device.recorded() as record:
            found = there(*moved[:2], lambda: (moved[2], moved[3]), grid).elem
        assert not record.faults
    kernels_used = dtype != torch.float64 and "measure" not in options
    assert record.launches["favit::kl_attention_uniform"] == kernels_used
    assert record.launches["favit::highest_scores"] == kernels_used
    assert torch.equal(found, expected)


@pytest.mark.parametrize("dynamic", [False, True])
def test_compiled_code_takes_the_operations_as_they_are(dynamic: bool) -> None:
    samples, queries = torch.randn(1, 2, 49, 4, 5), torch.randn(1, 2, 9, 5)
    arguments = (queries, by_window(samples), torch.arange(30), 2, torch.randn(5, 5))
    key, divergence = (torch.randn(5, 5), torch.randn(5)), torch.rand(1, 2, 9)
    for call, given in (
        (gpu.divergence, arguments),
        (gpu.choice, (queries, divergence, arguments[1], key, (2, 2), 3, "mean")),
    ):
        compiled = torch.compile(call, backend="aot_eager", fullgraph=True, dynamic=dynamic)
        for found, expected in zip(flat(compiled(*given)), flat(call(*given)), strict=True):
            assert torch.equal(found, expected)
            assert found.is_contiguous(), "as the kernels' results are"


def flat(found: torch.Tensor | tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return found if isinstance(found, tuple) else (found,)
