"""Runs code of other commits: completes settings, or trains and tells what came out, digest by digest.

``python inside.py resolve|train DATA``. A line that comes in is ``{"checkout": folder, "runs": {name: settings}}``;
for each run a line ``{"name": ..., ...}`` goes out, then ``{}``. What takes long to import is imported once; each
checkout has a process of its own, and so has each run, so that none finds another's leftovers. Nothing of today's
``favit`` is imported here.
"""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import json
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

NOT_NUMBERS = {"seconds", "examples_per_second", "memory_bytes"}
RESOLVERS = ("favit.sweeps.runs", "favit.sweep")  # where ``resolve`` lay, the latest place first

MEMORY = Path("/dev/shm")  # where checkpoints are synced at no cost

Answer = dict[str, Any]


def resolve(settings: dict[str, Any]) -> Answer:
    """All settings of a run, as the checkout completes them."""
    for name in RESOLVERS:
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError:
            continue
        return {"settings": dict(module.resolve(settings).settings)}
    raise ModuleNotFoundError(f"none of {', '.join(RESOLVERS)} is there")


def _resolved(settings: dict[str, Any]) -> Answer:
    try:
        return resolve(settings)
    except ValueError as error:
        return {"failed": " ".join(str(error).split())}


class Trace:
    """Which functions of the checkout are executed, module level included."""

    def __init__(self, checkout: Path) -> None:
        self._folder = str(checkout / "favit") + os.sep
        self._codes: set[Any] = set()
        # Not a profile, which would hear of every return and every call of C as well
        sys.settrace(self._called)
        threading.settrace(self._called)

    def _called(self, frame: FrameType, event: str, _: Any) -> None:
        self._codes.add(frame.f_code)

    def names(self) -> list[str]:
        """``favit.train.loop:Trainer.train``; what is defined in a function is that function."""
        found = set()
        for code in list(self._codes):
            if code.co_filename.startswith(self._folder):
                module = code.co_filename.removeprefix(self._folder).removesuffix(".py").replace(os.sep, ".")
                found.add(f"{module}:{code.co_qualname.partition('.<locals>')[0]}")
        return sorted(found)


def train(name: str, settings: dict[str, Any], data: Path, trace: Trace) -> Answer:
    """Train one run of complete settings; digests of all its numbers, and what was executed for them."""
    main = importlib.import_module("favit.train.__main__").main
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as scratch:
        folder = Path(scratch, name)
        folder.mkdir()
        # Whose result it is does not matter here, and finding it out takes longer than such a run.
        text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
        settings_digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        fingerprint = {
            "digest": "replay",
            "settings": settings_digest,
            "code": "",
            "data": {},
            "versions": {},
        }
        wanted = folder / "wanted.json"
        wanted.write_text(json.dumps({"run": settings, "fingerprint": fingerprint}))
        words = ["--run", wanted, "--out", folder, "--data", data, "--keep", "weights"]
        status = main([*map(str, words), "--threads", "1", "--device", "cpu"])
        if status != 0:
            raise RuntimeError(f"training ended with {status}")
        return {**digests(folder), "executed": trace.names()}


def digests(folder: Path) -> Answer:
    """Digests of weights, predictions, history and scores, without what tells time and memory."""
    import numpy as np
    import torch
    from safetensors.torch import load_file

    result = json.loads((folder / "metrics.json").read_text())
    if result["status"] != "finished":
        raise RuntimeError(f"{result['status']} at step {result['diverged_at_step']}")
    new = folder / "weights.safetensors"  # code of before wrote the other
    weights = load_file(new) if new.is_file() else torch.load(folder / "weights.pt", weights_only=True)
    with np.load(folder / "predictions.npz") as file:
        predictions = {name: file[name] for name in file.files}
    with (folder / "history.csv").open(newline="") as file:
        rows = [{k: v for k, v in row.items() if k not in NOT_NUMBERS} for row in csv.DictReader(file)]
    scores = {key: result[key] for key in ("metrics", "best", "epochs_run")}
    return {
        "weights": of_arrays({name: tensor.numpy() for name, tensor in weights.items()}),
        "predictions": of_arrays(predictions),
        "history": of_text(json.dumps(rows, sort_keys=True)),
        "scores": of_text(json.dumps(scores, sort_keys=True)),
    }


def of_arrays(arrays: dict[str, Any]) -> str:
    """Names, shapes, types and bytes of some arrays."""
    hasher = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        hasher.update(f"{name} {array.dtype} {array.shape};".encode())
        hasher.update(array.tobytes())
    return hasher.hexdigest()[:10]


def of_text(text: str) -> str:
    """Of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def in_a_child(act: Callable[[], Answer]) -> Answer:
    """What a function answers in a process of its own, or ``{"failed": why}``."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        with os.fdopen(writer, "w") as pipe:
            json.dump(_guarded(act), pipe)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return json.loads(text) if text else {"failed": "its process died"}


def _guarded(act: Callable[[], Answer]) -> Answer:
    """Its answer, or its error with the last line that it wrote; what else it says is not heard."""
    with tempfile.TemporaryFile() as said, Path(os.devnull).open("w") as nowhere:
        os.dup2(said.fileno(), 2)
        sys.stdout = nowhere
        try:
            return act()
        except BaseException as error:
            sys.stderr.flush()
            said.seek(0)
            last = said.read().decode(errors="replace").strip().splitlines()[-1:]
            return {"failed": " ".join(f"{type(error).__name__}: {error} {''.join(last)}".split())}


def enter(checkout: Path) -> None:
    """Import ``favit`` from a checkout from now on."""
    sys.path.insert(0, str(checkout))
    os.chdir(checkout)
    import favit

    assert favit.__file__ and Path(favit.__file__).is_relative_to(checkout), favit.__file__


def answer_all(verb: str, checkout: Path, runs: dict[str, Any], data: Path) -> None:
    """One line for each run of a checkout."""
    trace = Trace(checkout) if verb == "train" else None
    enter(checkout)
    if trace:
        for name in ("favit.models.favit", "favit.models.informer", "favit.train.__main__"):
            importlib.import_module(name)
    for name, settings in runs.items():
        answer = in_a_child(partial(train, name, settings, data, trace)) if trace else _resolved(settings)
        if "failed" in answer:
            answer["failed"] = answer["failed"].replace(str(data), "data").replace(str(checkout), "checkout")
        print(json.dumps({"name": name, **answer}), flush=True)


def import_what_takes_long(checkout: Path) -> None:
    """Packages that every commit uses; timm only goes with the checkout's way around a missing part of torchvision."""
    for name in ("numpy", "pandas", "sklearn.datasets", "torch"):
        importlib.import_module(name)
    for path in (checkout / "favit").rglob("*torchvision_cpu.py"):
        spec = importlib.util.spec_from_file_location("around_torchvision", path)
        assert spec and spec.loader
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    importlib.import_module("timm")


def main() -> None:
    """Answer checkout by checkout."""
    verb, data = sys.argv[1], Path(sys.argv[2])
    sys.path.pop(0)
    ready = verb == "resolve"
    for line in sys.stdin:
        asked = json.loads(line)
        checkout = Path(asked["checkout"])
        if not ready:
            import_what_takes_long(checkout)
            ready = True
        child = os.fork()
        if child == 0:
            try:
                answer_all(verb, checkout, asked["runs"], data)
            finally:
                sys.stdout.flush()
                os._exit(0)
        os.waitpid(child, 0)
        print(json.dumps({}), flush=True)


if __name__ == "__main__":
    main()
