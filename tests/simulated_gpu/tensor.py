"""Tensors that claim to be on a GPU and compute on the CPU, and a record of what a GPU would have been asked to do.

A tensor wraps one of the CPU; ``device`` says ``cuda:0``. A dispatch mode sees every operation below autograd, so that
backward passes and optimizers are seen as well. What is recorded:

* launches: operations that compute or move data on the device, one each, as an eager program enqueues them. Views
  and allocations are none. An operation may be several kernels on a real device; the count is of what the program
  asks for;
* bytes: what these operations read and write, each element of an expanded tensor once;
* copies from the host to the device;
* faults: what would fail on a GPU or make the host wait for it, where it happened.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

CUDA = torch.device("cuda", 0)
PROJECT = str(Path(__file__).parents[2])

# The host waits for the device to know these, and all but the first two have a shape that depends on data.
_WAITS = {
    "aten::_local_scalar_dense", "aten::equal", "aten::nonzero", "aten::masked_select", "aten::_unique2",
    "aten::unique_dim", "aten::unique_consecutive", "aten::repeat_interleave.Tensor", "aten::bincount",
    "aten::nonzero_static", "aten::histc",
}  # fmt: skip
_INDEXING = {
    "aten::index",
    "aten::index_put",
    "aten::index_put_",
    "aten::_unsafe_index",
    "aten::_index_put_impl_",
}
_COPIES = {"aten::_to_copy", "aten::copy_"}
_NO_LAUNCH = {
    "aten::detach", "aten::alias", "aten::lift_fresh", "aten::empty", "aten::empty_like", "aten::empty_strided",
    "aten::new_empty", "aten::new_empty_strided", "aten::_local_scalar_dense", "aten::is_pinned",
    "aten::set_", "aten::resize_", "aten::is_same_size", "aten::_unsafe_view",
}  # fmt: skip


@dataclass
class Record:
    """What happened on the device while it was recorded."""

    launches: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    copies: int = 0
    copied_bytes: int = 0
    faults: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return (
            f"{self.launches.total()} launches, {self.copies} copies of {self.copied_bytes:,} bytes, "
            f"{self.bytes / 1e6:,.1f} MB read and written, {self.faults.total()} faults"
        )

    def fault(self, what: str) -> None:
        """Note what a GPU would not do, or not without waiting."""
        self.faults[f"{what} at {_where()}"] += 1


class SimulatedTensor(torch.Tensor):
    """A tensor on the simulated device."""

    elem: Tensor

    @staticmethod
    def __new__(cls, elem: Tensor) -> SimulatedTensor:
        made = torch.Tensor._make_wrapper_subclass(
            cls, elem.size(), elem.stride(), elem.storage_offset(), dtype=elem.dtype, device=elem.device
        )
        made.elem = elem
        return made

    def __init__(self, elem: Tensor) -> None:
        pass

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"SimulatedTensor({tuple(self.shape)}, {self.dtype}, device='{CUDA}')"

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.to and not isinstance(args[0], SimulatedTensor):  # as another tensor is
            return args[0].to(CUDA, args[1].dtype, **(kwargs or {}))
        if func is torch.nn.functional.scaled_dot_product_attention and (kwargs or {}).get("is_causal"):
            # torch would make the mask where it takes the tensors to be: on the CPU
            visible = torch.ones(args[0].shape[-2], args[1].shape[-2], dtype=torch.bool, device=CUDA).tril()
            kwargs = {**(kwargs or {}), "is_causal": False, "attn_mask": visible}
        return super().__torch_function__(func, types, args, kwargs or {})

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError("a simulated tensor is used while its device is not there")

    device = property(lambda self: CUDA)  # type: ignore[assignment]
    is_cpu = property(lambda self: False)  # type: ignore[assignment]
    is_cuda = property(lambda self: True)  # type: ignore[assignment]

    def get_device(self) -> int:
        return 0

    def cpu(self, *_: Any, **__: Any) -> Tensor:
        return _to_host(self, blocking=True)

    def tolist(self) -> Any:
        return _to_host(self, blocking=True).tolist()

    def numpy(self, *_: Any, **__: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def cuda(self, *_: Any, **__: Any) -> Tensor:
        return self

    def to(self, *args: Any, **kwargs: Any) -> Tensor:
        target = _target_device(args, kwargs)
        if target is not None and target.type == "cpu":
            blocking = not kwargs.get("non_blocking", False)
            dtypes = [x for x in (*args, *kwargs.values()) if isinstance(x, torch.dtype)]
            return _to_host(super().to(*dtypes) if dtypes else self, blocking)
        args = tuple(x.dtype if isinstance(x, Tensor) else x for x in args if not _names_device(x))
        kwargs = {k: v for k, v in kwargs.items() if k not in ("device", "non_blocking")}
        args = tuple(x for x in args if not isinstance(x, bool))  # non_blocking by its place
        return super().to(*args, **kwargs) if args or kwargs else self


class Device(TorchDispatchMode):
    """Runs operations for the simulated device and records them."""

    def __init__(self) -> None:
        super().__init__()
        self.record = Record()
        self.streams = Streams()
        self.pinned: list[Tensor] = []  # kept, so that no other memory takes their place
        self.generators: dict[int, torch._C.Generator] = {}  # the device's, by their address

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(self, func, args, kwargs or {})

    @contextmanager
    def recorded(self) -> Iterator[Record]:
        """A record of its own while the context lasts."""
        outside, self.record = self.record, Record()
        try:
            yield self.record
        finally:
            self.record = outside

    def is_pinned(self, tensor: Tensor) -> bool:
        """Whether a tensor of the CPU lies in pinned memory."""
        place = tensor.untyped_storage().data_ptr()
        return any(place == kept.untyped_storage().data_ptr() for kept in self.pinned)

    def pin(self, tensor: Tensor) -> Tensor:
        """A copy in pinned memory."""
        copy = tensor.detach().clone()
        self.pinned.append(copy)
        return copy


class Streams:
    """Which stream wrote what, and which streams know of it.

    Every stream counts its operations; one knows of another's up to where it last waited for it. What a side stream
    allocates is to be lent to others that use it; what the main stream allocates is taken to live on.
    """

    def __init__(self) -> None:
        self.main = self.current = StreamClock()
        self._written: dict[int, tuple[StreamClock, int]] = {}  # by storage: the writer and its count
        self._owner: dict[int, StreamClock] = {}
        self._lent: dict[int, set[StreamClock]] = {}

    def used(self, inputs: list[Tensor], outputs: list[Tensor], record: Record, name: str) -> None:
        """One operation on the current stream."""
        stream = self.current
        stream.count += 1
        known = {_place(x) for x in inputs}
        for place in known - {0}:
            writer, count = self._written.get(place, (stream, 0))
            owner = self._owner.get(place, stream)
            if writer is not stream and stream.knows.get(writer, 0) < count:
                record.fault(f"race: {name} reads what another stream writes")
            if owner not in (stream, self.main) and stream not in self._lent.get(place, ()):
                record.fault(f"race: {name} on another stream's memory without record_stream")
        for place in {_place(x) for x in outputs} - {0}:
            if place not in known:
                self._owner[place] = stream
                self._lent.pop(place, None)
            self._written[place] = (stream, stream.count)

    def lend(self, tensor: Tensor, stream: StreamClock) -> None:
        """``record_stream``: the memory is not given to others while ``stream`` uses it."""
        self._lent.setdefault(_place(tensor), set()).add(stream)


class StreamClock:
    """How far a stream is, and how far it knows others to be."""

    def __init__(self) -> None:
        self.count = 0
        self.knows: dict[StreamClock, int] = {}

    def moment(self) -> dict[StreamClock, int]:
        """All that has happened before now."""
        return {**self.knows, self: self.count}

    def wait(self, moment: dict[StreamClock, int]) -> None:
        """Go on after ``moment``."""
        for stream, count in moment.items():
            self.knows[stream] = max(count, self.knows.get(stream, 0))


DEVICE: Device | None = None  # the one that is there


def run(device: Device, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """One operation, on the CPU or on the simulated device."""
    name = func._schema.name
    leaves = [x for x in _flat((args, *kwargs.values())) if isinstance(x, (Tensor, torch._C.Generator))]
    tensors = [x for x in leaves if isinstance(x, Tensor)]
    there = [x for x in tensors if isinstance(x, SimulatedTensor)]
    wanted = kwargs.get("device")
    made_there = wanted is not None and torch.device(wanted).type == "cuda"
    pins = bool(kwargs.get("pin_memory"))
    if pins:
        kwargs = {**kwargs, "pin_memory": False}
    if not there and not made_there:
        found = func(*args, **kwargs)
        if pins:
            device.pinned.append(found)
        return found
    _check(device, func, args, kwargs, leaves)
    if made_there:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    inner = func(*_mapped(_inner, args), **{name: _mapped(_inner, x) for name, x in kwargs.items()})
    if name == "aten::_to_copy" and inner is _inner(args[0]):
        inner = inner.clone()
    found = _wrapped(func, args, kwargs, inner)
    _count(device, func, name, tensors, found)
    return found


def _check(device: Device, func: Any, args: Any, kwargs: dict[str, Any], leaves: list[Any]) -> None:
    name, record = func._schema.name, device.record
    on_host = [x for x in leaves if isinstance(x, Tensor) and not isinstance(x, SimulatedTensor)]
    full_name = f"{name}.{func._schema.overload_name}" if func._schema.overload_name else name
    if name in _WAITS or full_name in _WAITS:
        record.fault(f"wait: {name}")
    if name in _INDEXING:
        for index in (x for x in args[1] if x is not None):
            if index.dtype in (torch.bool, torch.uint8):
                record.fault(f"wait: {name} by a mask, whose shape depends on data")
            if not isinstance(index, SimulatedTensor):
                record.fault(f"wait: {name} by an index from the host")
    elif name in _COPIES:
        _check_copy(device, name, args, kwargs)
    elif name != "aten::lift_fresh" and any(x.dim() or "index" in name or "gather" in name for x in on_host):
        record.fault(f"device mismatch: {name} of tensors on cuda:0 and the CPU")
    for generator in (x for x in leaves if isinstance(x, torch._C.Generator)):
        if generator._cdata not in device.generators:
            record.fault(f"CPU generator: {name} on cuda:0")


def _check_copy(device: Device, name: str, args: Any, kwargs: dict[str, Any]) -> None:
    """Between host and device: a wait unless it is asked not to be one, of pinned memory."""
    if name == "aten::copy_":
        target, source = args[0], args[1]
        waits = not (args[2] if len(args) > 2 else kwargs.get("non_blocking", False))
    else:
        source, waits = args[0], not kwargs.get("non_blocking", False)
        target = None
    from_host = not isinstance(source, SimulatedTensor)
    to_host = target is not None and not isinstance(target, SimulatedTensor)
    host = source if from_host else target if to_host else None
    if host is None or (from_host and to_host):
        return
    direction = "to the device" if from_host else "to the host"
    if from_host:
        device.record.copies += 1
        device.record.copied_bytes += source.numel() * source.element_size()
    if waits:
        device.record.fault(f"wait: blocking copy {direction}")
    if not device.is_pinned(host):
        device.record.fault(f"pageable memory: copy {direction}")


def _to_host(tensor: SimulatedTensor, blocking: bool) -> Tensor:
    assert DEVICE is not None, "a simulated tensor is used while its device is not there"
    if blocking:
        DEVICE.record.fault("wait: blocking copy to the host")
    else:
        DEVICE.record.fault("pageable memory: copy to the host")
    return tensor.elem.detach().clone()


def _wrapped(func: Any, args: Any, kwargs: dict[str, Any], inner: Any) -> Any:
    """What was computed, as the caller is to have it: what it was written into, or new tensors of the device."""
    outer = {id(x.elem): x for x in _flat((args, *kwargs.values())) if isinstance(x, SimulatedTensor)}
    writes = any(r.alias_info is not None and r.alias_info.is_write for r in func._schema.returns)
    scalar = func._schema.name in ("aten::_local_scalar_dense", "aten::equal", "aten::is_same_size")

    def wrap(x: Any) -> Any:
        if not isinstance(x, Tensor) or scalar:
            return x
        if writes and id(x) in outer:
            return outer[id(x)]
        if writes and isinstance(args[0], Tensor) and not isinstance(args[0], SimulatedTensor):
            return args[0]  # a copy to the host
        return SimulatedTensor(x)

    return _mapped(wrap, inner)


def _count(device: Device, func: Any, name: str, inputs: list[Tensor], found: Any) -> None:
    aliases = [r.alias_info for r in func._schema.returns]
    is_view = bool(aliases) and any(a is not None and not a.is_write for a in aliases)
    if is_view or name in _NO_LAUNCH:
        if not is_view:
            device.streams.used(
                [], [x for x in _flat((found,)) if isinstance(x, SimulatedTensor)], device.record, name
            )
        return
    outputs = [x for x in _flat((found,)) if isinstance(x, SimulatedTensor)]
    if not aliases:  # lists that are written in place
        outputs = [x for x in inputs if isinstance(x, SimulatedTensor)]
    device.record.launches[name] += 1
    device.record.bytes += sum(map(_bytes, [*inputs, *outputs]))
    device.streams.used([x for x in inputs if isinstance(x, SimulatedTensor)], outputs, device.record, name)


def _bytes(x: Tensor) -> int:
    """Of the elements that are there, those of an expanded tensor once."""
    size = x.element_size()
    for length, stride in zip(x.shape, x.stride(), strict=True):
        size *= length if stride else min(length, 1)
    return size


def _flat(values: Iterable[Any]) -> Iterator[Any]:
    """What is in arguments and in lists of them; torch's own trees take most of a small operation's time."""
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from _flat(value)
        else:
            yield value


def _mapped(change: Callable[[Any], Any], value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(_mapped(change, x) for x in value)
    return change(value)


def _inner(x: Any) -> Any:
    return x.elem if isinstance(x, SimulatedTensor) else x


def _place(x: Tensor) -> int:
    return _inner(x).untyped_storage().data_ptr()


def _names_device(x: Any) -> bool:
    return isinstance(x, (str, torch.device))


def _target_device(args: Any, kwargs: dict[str, Any]) -> torch.device | None:
    for x in (*args, kwargs.get("device")):
        if _names_device(x):
            return torch.device(x)
        if isinstance(x, Tensor):
            return x.device
    return None


def _where() -> str:
    """The innermost places in the project, outside this folder, that led here."""
    here, found = str(Path(__file__).parent), []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and len(found) < 2:
        file = frame.f_code.co_filename
        ours = file.startswith(PROJECT) and "/.venv/" not in file
        if ours and (not file.startswith(here) or "test_" in file):
            found.append(f"{file.removeprefix(PROJECT + '/')}:{frame.f_lineno}")
        frame = frame.f_back
    return " < ".join(found)
