"""Train a few steps of one run with the code of one folder; report every number and what was executed.

Run by its path in a process of its own, never imported: ``python -P probe.py REQUEST ANSWER``. Whatever ``favit`` the
request's folder holds is imported from there, so that this file knows no more of it than its outline: ``engine`` with
a host, states that can be gone on from, and parts of the data that can be cut short.

A run is begun, stopped in its second epoch, and gone on with in its last, to its end: so that resuming, evaluation,
the choice of weights and the end of the schedule are executed, too.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
import sys
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

# Of a state or a row of the history: how long it took, not what came out.
_TIMES = {"seconds", "examples_per_second", "memory_bytes", "epoch_seconds", "compile_seconds"}
_SCORED = {
    "classification": 130,
    "forecasting": 260,
}  # two batches of what is scored at once, the second not full


class NotFinite(Exception):
    """A number is not finite, so equality proves nothing."""


class Tracer:
    """Which bytecode of some files is executed, and what follows on what."""

    def __init__(self, files: list[str]) -> None:
        self._files = set(files)
        self.arcs: dict[str, dict[str, set[tuple[int, int]]]] = {}

    def __call__(self, frame: FrameType, event: str, arg: Any) -> Any:
        code = frame.f_code
        if event != "call" or code.co_filename not in self._files:
            return None
        seen = self.arcs.setdefault(code.co_filename, {}).setdefault(key_of(code), set())
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        last = frame.f_lasti

        def local(frame: FrameType, event: str, arg: Any) -> Any:
            nonlocal last
            if event == "opcode":
                seen.add((last, frame.f_lasti))
                last = frame.f_lasti
            return local

        return local


def key_of(code: CodeType) -> str:
    """What names a piece of code in its file, here and where the file is compiled anew."""
    return f"{code.co_qualname}:{code.co_firstlineno}:{hashlib.sha256(code.co_code).hexdigest()[:8]}"


class Host:
    """Hosts a probe: keeps what is saved, and stops after one step of an epoch."""

    def __init__(self, state: bytes | None, stop_in: int | None) -> None:
        self.saved: list[bytes] = []
        self.losses: list[float | None] = []
        self._state, self._stop_in = state, stop_in
        self._epoch, self._steps = -1, 0

    def stop_reason(self) -> str | None:
        return "probe" if self._epoch == self._stop_in and self._steps else None

    def load(self) -> bytes | None:
        return self._state

    def save(self, position: int, state: bytes, history: Any) -> None:
        self.saved.append(state)

    def epoch_begins(self, epoch: int, *_: Any) -> None:
        self._epoch, self._steps = epoch, 0

    def step_ends(self, loss: float | None) -> None:
        self._steps += 1
        self.losses.append(loss)

    def measured(self) -> dict[str, Any]:
        return {}

    def __getattr__(self, name: str) -> Any:
        """Whatever else another code tells its host."""
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *_: None


def probe(request: dict[str, Any]) -> dict[str, Any]:
    """All numbers of a few steps, as digests by what they are."""
    import torch

    from favit.train import engine, loop
    from favit.train.distributed import World

    torch.set_num_threads(1)
    device = torch.device(request["device"])
    run = _shortened(request["run"], request["task"], request["steps"])
    if run.get("validation_split"):
        from favit.train import validated as engine  # type: ignore[no-redef]
    last = run["epochs"] - 1
    found: dict[str, Any] = {"learning rates": _digest(_learning_rates(run))}
    state, stop_in = None, min(1, last)
    for life in ("begun", "gone on with"):
        host = Host(state, stop_in)
        trainer = engine.trainer(run, Path(request["data"]), device, World(), 0, host)
        try:
            scores = trainer.train()
        except loop.Interrupted:
            scores = None
        for number, saved in enumerate(host.saved):
            for part, value in _unpacked(saved).items():
                if part in _TIMES:
                    continue
                found[f"{part} of state {number + 1} when {life}"] = _digest(value)
        if device.type == "cpu":  # elsewhere nobody waits for them
            found[f"losses when {life}"] = _digest(host.losses)
        if scores is not None:
            for part in ("metrics", "predictions", "extra"):
                found[part] = _digest(getattr(scores, part))
            return found
        state, stop_in = _in_its_last_epoch(host.saved[-1], last), None
    raise RuntimeError("the run did not come to its end")


def _shortened(run: dict[str, Any], task: str, steps: int) -> dict[str, Any]:
    """The run on a few batches of its data, of its full size each."""
    examples = steps * run["batch_size"]
    if task == "classification":
        limits = {"limit_train": examples, "limit_test": _SCORED[task]}
        return {**run, **{key: min(run.get(key) or most, most) for key, most in limits.items()}}
    from favit.data._series import Series

    whole = Series.window_starts

    def window_starts(self: Any, part: str, *lengths: int) -> range:
        found = whole(self, part, *lengths)
        return found[: examples if part == "train" else _SCORED[task]]

    Series.window_starts = window_starts  # type: ignore[method-assign,assignment]
    return dict(run)


def _learning_rates(run: dict[str, Any]) -> list[float]:
    """Of all epochs, as they cost nothing."""
    from favit.train.schedule import learning_rate
    from favit.train.settings import Optimisation, parse

    chosen = parse(Optimisation, run)
    return [learning_rate(chosen, epoch) for epoch in range(run["epochs"])]


def _unpacked(state: bytes) -> dict[str, Any]:
    from favit.train import checkpoint

    return dict(checkpoint.unpack(state))


def _in_its_last_epoch(state: bytes, last: int) -> bytes:
    from favit.train import checkpoint

    content = _unpacked(state)
    content["epoch"] = last
    if content["best"]:
        content["best"] = {**content["best"], "epoch": last}  # or patience would be at its end
    return checkpoint.pack(content)


def _digest(value: Any) -> str:
    hasher = hashlib.sha256()
    _write(value, hasher.update)
    return hasher.hexdigest()


def _write(value: Any, write: Any) -> None:
    """Write a value to the bit. ``NotFinite`` for a number that is not."""
    if isinstance(value, dict):
        for key in sorted(value, key=repr):
            if key not in _TIMES:
                write(f"{key!r}=".encode())
                _write(value[key], write)
        write(b"}")
    elif isinstance(value, list | tuple):
        for item in value:
            _write(item, write)
        write(b"]")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise NotFinite
        write(b"f" + struct.pack("<d", value))
    elif hasattr(value, "dtype"):
        _write_array(value, write)
    else:
        write(f"{type(value).__name__}:{value!r};".encode())


def _write_array(value: Any, write: Any) -> None:
    import torch

    tensor = torch.as_tensor(value).detach().cpu().contiguous()
    if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
        raise NotFinite
    write(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
    write(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())


def _kind(device: str) -> str:
    import torch

    return torch.cuda.get_device_name(0) if device == "cuda" else "cpu"


def main(request: dict[str, Any]) -> dict[str, Any]:
    """The answer: numbers and what was executed, or the error that ended it, in one line."""
    sys.path.insert(0, request["root"])
    import torch  # noqa: F401  (not traced: it takes long enough)

    tracer = Tracer(request["trace"])
    sys.settrace(tracer)
    try:
        numbers = probe(request)
    except NotFinite:
        return {"error": "its numbers are not finite, and such are equal whatever else differs"}
    except (
        BaseException
    ) as error:  # whatever an older code ends with, such as its own Diverged, is to be told
        return {"error": " ".join(f"{type(error).__name__}: {error}".split())[:300]}
    finally:
        sys.settrace(None)
    imported = [name for name in sys.modules if name.partition(".")[0] == "favit"]
    strays = [
        n for n in imported if not str(getattr(sys.modules[n], "__file__", "")).startswith(request["root"])
    ]
    if strays:
        return {"error": f"{strays[0]} was imported from {sys.modules[strays[0]].__file__}"}
    arcs = {file: {key: sorted(seen) for key, seen in codes.items()} for file, codes in tracer.arcs.items()}
    return {"numbers": numbers, "arcs": arcs, "kind": _kind(request["device"])}


if __name__ == "__main__":
    answer = main(json.loads(Path(sys.argv[1]).read_text()))
    Path(sys.argv[2]).write_text(json.dumps(answer))
