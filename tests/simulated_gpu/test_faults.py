"""The simulated GPU catches what a GPU would not do, or not without making the host wait; and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from tests.simulated_gpu.gpu import CUDA, simulated_gpu
from tests.simulated_gpu.tensor import Device, Record, SimulatedTensor


def on_gpu(*shape: int) -> torch.Tensor:
    return torch.ones(*shape, device=CUDA)


def use_on_another_stream(lend: bool, wait: bool) -> None:
    """What a side stream made, used by the main one."""
    side, main = torch.cuda.Stream(CUDA), torch.cuda.current_stream(CUDA)
    with torch.cuda.stream(side):
        made = on_gpu(3) + 1
        event = side.record_event()
    if wait:
        main.wait_event(event)
    if lend:
        made.record_stream(main)
    made.mul(2)


FAULTS: dict[str, tuple[str, Callable[[], object]]] = {
    "two devices": ("device mismatch", lambda: on_gpu(3) + torch.ones(3)),
    "two devices in an index": ("device mismatch", lambda: on_gpu(3).index_select(0, torch.tensor([1]))),
    "a layer that was left behind": ("device mismatch", lambda: nn.Linear(3, 2)(on_gpu(1, 3))),
    "a CPU generator": ("CPU generator", lambda: on_gpu(3).normal_(generator=torch.Generator())),
    "item": ("wait", lambda: on_gpu(1).sum().item()),
    "a number of Python": ("wait", lambda: float(on_gpu(1))),
    "a condition": ("wait", lambda: 1 if on_gpu(1).sum() > 0 else 0),
    "a list": ("wait", lambda: on_gpu(3).tolist()),
    "nonzero": ("wait", lambda: on_gpu(3).nonzero()),
    "a choice by a mask": ("wait", lambda: on_gpu(3)[on_gpu(3) > 0]),
    "an assignment by a mask": ("wait", lambda: on_gpu(3).__setitem__(on_gpu(3) > 0, on_gpu(3))),
    "an index from the host": ("wait", lambda: on_gpu(3)[torch.tensor([0, 1])]),
    "distinct values": ("wait", lambda: on_gpu(3).unique()),
    "equality": ("wait", lambda: torch.equal(on_gpu(3), on_gpu(3))),
    "to the host": ("wait", lambda: on_gpu(3).cpu()),
    "to the host by to": ("wait", lambda: on_gpu(3).to("cpu")),
    "to where another is": ("wait", lambda: torch.ones(3).to(on_gpu(1))),
    "to the device": ("wait", lambda: torch.ones(3).pin_memory().to(CUDA)),
    "copied in place": ("wait", lambda: on_gpu(3).copy_(torch.ones(3).pin_memory())),
    "pageable memory": ("pageable memory", lambda: torch.ones(3).to(CUDA, non_blocking=True)),
    "waiting for all": ("wait", lambda: torch.cuda.synchronize()),
    "another stream's result": ("race", lambda: use_on_another_stream(lend=True, wait=False)),
    "another stream's memory": ("race", lambda: use_on_another_stream(lend=False, wait=True)),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_caught(name: str) -> None:
    kind, act = FAULTS[name]
    with simulated_gpu() as gpu:
        found = recorded(gpu, act)
    assert any(fault.startswith(kind) for fault in found.faults), found.faults
    assert "test_faults.py" in next(iter(found.faults)), "a fault names where it happened"


FAULTLESS: dict[str, Callable[[], object]] = {
    "a number of Python": lambda: on_gpu(3) * 2 + torch.tensor(1.0),
    "pinned memory": lambda: torch.ones(3).pin_memory().to(CUDA, non_blocking=True),
    "a part of pinned memory": lambda: torch.ones(6).pin_memory()[2:4].to(CUDA, non_blocking=True),
    "made pinned": lambda: on_gpu(3).copy_(torch.zeros(3, pin_memory=True), non_blocking=True),
    "its own generator": lambda: on_gpu(3).normal_(generator=torch.Generator(CUDA)),
    "to pinned memory": lambda: torch.empty(3, pin_memory=True).copy_(on_gpu(3), non_blocking=True),
    "an index of its own": lambda: on_gpu(3)[torch.arange(2, device=CUDA)],
    "another stream, waited for": lambda: use_on_another_stream(lend=True, wait=True),
}


@pytest.mark.parametrize("name", FAULTLESS)
def test_what_a_gpu_does_is_no_fault(name: str) -> None:
    with simulated_gpu() as gpu:
        found = recorded(gpu, FAULTLESS[name])
    assert not found.faults


def recorded(gpu: Device, act: Callable[[], object]) -> Record:
    with gpu.recorded() as found:
        act()
    return found


def test_a_device_is_told_everywhere() -> None:
    with simulated_gpu():
        layer = nn.Linear(4, 2).to(CUDA)
        out = layer(torch.zeros(3, 4, device=CUDA)).sum()
        out.backward()
        tensors = [layer.weight, layer.weight.grad, out, out.detach(), layer.weight.float(), layer.weight[0]]
        for tensor in tensors:
            assert isinstance(tensor, SimulatedTensor) and tensor.device == CUDA and tensor.is_cuda
        with pytest.raises(TypeError, match="numpy"):
            out.detach().numpy()


def test_numbers_are_the_cpus() -> None:
    """A layer, its gradients under half precision, and a step of the optimizer."""
    found = []
    for device in (torch.device("cpu"), CUDA):
        with simulated_gpu():
            torch.manual_seed(0)
            layer, x = nn.Linear(8, 4).to(device), torch.randn(5, 8).to(device)
            optimizer = torch.optim.AdamW(layer.parameters(), fused=True)
            with torch.autocast(device.type, torch.bfloat16):
                loss = layer(x).relu().square().mean()
            loss.backward()
            optimizer.step()
            found.append((float(loss), layer.weight.grad.cpu(), layer.weight.detach().cpu()))
    assert found[0][0] == found[1][0]
    assert all(torch.equal(a, b) for a, b in zip(found[0][1:], found[1][1:], strict=True))


def test_launches_copies_and_bytes_are_counted() -> None:
    with simulated_gpu() as gpu:
        x = on_gpu(10, 4)
        host = torch.ones(3).pin_memory()
        with gpu.recorded() as found:
            y = x.view(4, 10)[1:].t()  # views
            torch.empty_like(x)  # an allocation
            y + 1
            x.add_(on_gpu(1).expand(10, 4))
            host.to(CUDA, non_blocking=True)
    assert found.launches == {"aten::add": 1, "aten::ones": 1, "aten::add_": 1, "aten::_to_copy": 1}
    assert found.copies == 1 and found.copied_bytes == 12
    assert found.bytes == 4 * ((30 + 30) + 1 + (40 + 1 + 40) + (3 + 3))
    assert str(found).startswith("4 launches, 1 copies of 12 bytes")


def test_everything_is_put_back() -> None:
    before = torch.cuda.is_available(), torch.Generator, torch.autocast, torch.save, torch.Tensor.pin_memory
    with pytest.raises(ZeroDivisionError), simulated_gpu():
        assert torch.cuda.is_available()
        raise ZeroDivisionError
    after = torch.cuda.is_available(), torch.Generator, torch.autocast, torch.save, torch.Tensor.pin_memory
    assert before == after
    assert type(torch.ones(2) + 1) is torch.Tensor
