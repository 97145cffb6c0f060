"""A simulated GPU for a while: what torch says and does about devices is replaced, and put back afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
import torch._dynamo  # looks at what is replaced below, and must find the original
from torch import Tensor
from torch.optim.optimizer import _foreach_supported_types
from torch.utils import _foreach_utils
from torch.utils._pytree import tree_map

from tests.simulated_gpu import tensor
from tests.simulated_gpu.tensor import CUDA, Device, SimulatedTensor, StreamClock


@contextmanager
def simulated_gpu() -> Iterator[Device]:
    """A CUDA device that computes on the CPU; see ``tensor.py`` for what it records."""
    device = Device()
    real_autocast, real_save = torch.autocast, torch.save
    default_seed = torch.default_generator.manual_seed

    class Autocast(real_autocast):  # type: ignore[misc, valid-type]
        def __init__(self, device_type: str, *args: Any, **kwargs: Any) -> None:
            super().__init__("cpu" if device_type == "cuda" else device_type, *args, **kwargs)

    def saved(content: Any, *args: Any, **kwargs: Any) -> None:
        real_save(tree_map(_on_host, content), *args, **kwargs)

    replaced = {
        "torch.cuda.is_available": lambda: True,
        "torch.cuda.device_count": lambda: 1,
        "torch.cuda.current_device": lambda: 0,
        "torch.cuda.is_bf16_supported": lambda *_, **__: True,
        "torch.cuda.get_device_name": lambda *_: "simulated",
        "torch.cuda.max_memory_allocated": lambda *_: 0,
        "torch.cuda.manual_seed": lambda seed: default_seed(seed),
        "torch.cuda.manual_seed_all": lambda seed: default_seed(seed),
        "torch.cuda.default_generators": (torch.default_generator,),
        "torch.cuda._lazy_init": lambda: None,
        "torch.cuda.synchronize": lambda *_: device.record.fault("wait: synchronize"),
        "torch.cuda.amp.common.amp_definitely_not_available": lambda: False,
        "torch.cuda.Event": _event(device),
        "torch.cuda.Stream": _stream(device),
        "torch.cuda.current_stream": lambda *_: _stream(device)(clock=device.streams.current),
        "torch.cuda.default_stream": lambda *_: _stream(device)(clock=device.streams.main),
        "torch.cuda.stream": lambda stream: stream,
        "torch.Generator": _generator(device),
        "torch.autocast": Autocast,
        "torch.amp.autocast_mode.autocast": Autocast,
        "torch.save": saved,
        "torch._has_compatible_shallow_copy_type": _may_share_its_place,
        "torch.Tensor.record_stream": lambda x, stream: device.streams.lend(x, stream.clock),
        "torch.Tensor.pin_memory": lambda x, *_: device.pin(x),
        "torch.Tensor.is_pinned": lambda x, *_: device.is_pinned(x),
        "torch.optim.optimizer._group_tensors_by_device_and_dtype": _grouped,
        "torch.nn.utils.clip_grad._group_tensors_by_device_and_dtype": _grouped,
    }
    patches = [mock.patch(name, value) for name, value in replaced.items()]
    patches.append(mock.patch.object(_foreach_utils, "_group_tensors_by_device_and_dtype", _grouped))
    patches.append(mock.patch.object(tensor, "DEVICE", device))
    for patch in patches:
        patch.start()
    supported = (_foreach_supported_types, _foreach_utils._foreach_supported_types)
    for types in supported:
        types.append(SimulatedTensor)
    # What torch makes of Python numbers is to stay on the CPU until an operation takes it
    torch._C._set_only_lift_cpu_tensors(True)
    try:
        with device:
            yield device
    finally:
        torch._C._set_only_lift_cpu_tensors(False)
        for types in supported:
            types.remove(SimulatedTensor)
        for patch in reversed(patches):
            patch.stop()


def _generator(device: Device) -> type:
    class Generator(torch._C.Generator):
        """Draws on the CPU, and says where it was made for."""

        def __new__(cls, where: Any = "cpu", **keywords: Any) -> Generator:
            made = super().__new__(cls, "cpu")
            made.claimed = torch.device(keywords.get("device", where))
            if made.claimed.type == "cuda":
                device.generators[made._cdata] = made
            return made

        def __init__(self, *_: Any, **__: Any) -> None:
            pass

        @property
        def device(self) -> torch.device:  # type: ignore[override]
            return self.claimed  # type: ignore[attr-defined]

    return Generator


def _event(device: Device) -> type:
    class Event:
        def __init__(self, *_: Any, **__: Any) -> None:
            self.moment: dict[StreamClock, int] = {}

        def record(self, stream: Any = None) -> None:
            self.moment = (stream.clock if stream else device.streams.current).moment()

        def wait(self, stream: Any = None) -> None:
            (stream.clock if stream else device.streams.current).wait(self.moment)

        def query(self) -> bool:
            return True

        def synchronize(self) -> None:
            device.record.fault("wait: synchronize")

    return Event


def _stream(device: Device) -> type:
    class Stream:
        def __init__(self, *_: Any, clock: StreamClock | None = None, **__: Any) -> None:
            self.clock = clock or StreamClock()
            self._before: list[StreamClock] = []

        def record_event(self, event: Any = None) -> Any:
            event = event or torch.cuda.Event()
            event.record(self)
            return event

        def wait_event(self, event: Any) -> None:
            event.wait(self)

        def wait_stream(self, other: Any) -> None:
            self.clock.wait(other.clock.moment())

        def synchronize(self) -> None:
            device.record.fault("wait: synchronize")

        def __enter__(self) -> Any:
            self._before.append(device.streams.current)
            device.streams.current = self.clock
            return self

        def __exit__(self, *_: object) -> None:
            device.streams.current = self._before.pop()

        def __eq__(self, other: object) -> bool:
            return self.clock is getattr(other, "clock", None)

        def __hash__(self) -> int:
            return hash(self.clock)

    return Stream


def _grouped(lists: list[list[Tensor | None]], with_indices: bool = False) -> dict[Any, Any]:
    """What torch's own does, by the device that tensors claim."""
    groups: dict[Any, Any] = {}
    for index, first in enumerate(lists[0]):
        assert first is not None
        kept, places = groups.setdefault((first.device, first.dtype), ([[] for _ in lists], []))
        for target, source in zip(kept, lists, strict=True):
            if source:
                target.append(source[index])
        places.append(index)
    return groups


def _may_share_its_place(old: Tensor, new: Tensor) -> bool:
    """Whether a module moves its parameter by ``parameter.data = ...``: not from or to this device."""
    return not (isinstance(old, SimulatedTensor) or isinstance(new, SimulatedTensor))


def _on_host(x: Any) -> Any:
    return x.elem.detach().clone() if isinstance(x, SimulatedTensor) else x


__all__ = ["CUDA", "SimulatedTensor", "simulated_gpu"]
