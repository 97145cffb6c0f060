"""Which lines of favit tiny trainings of both families execute, for tests that change them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from favit.identity.closure import ROOT
from favit.identity.fingerprint import ENGINE, named
from favit.sweeps.runs import resolve
from tests.workflow.conftest import TINY


def module_of(file: str) -> str:
    """The module of a file, by its path from the checkout's root."""
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


SERIES = {"dataset": "seattle_weather", "model": "informer", "seed": 0, **TINY["recipes"]["series"]}
IMAGES = {"dataset": "digits", "model": "favit_b0", "seed": 0, **TINY["recipes"]["images"]}
RECIPE = {
    "crop_scale_min": 0.3, "flip": 0.5, "randaugment": "m9-mstd0.5-inc1", "erasing": 0.5, "mixup": 0.8,
    "cutmix": 1.0, "label_smoothing": 0.1, "drop_path": 0.1, "ema": 0.9, "clip_grad": 1.0,
}  # fmt: skip

FEW: dict[str, dict[str, Any]] = {
    "series": {**SERIES, "aggregator": "probsparse", "encoding": "legendre"},
    "images": {**IMAGES, **RECIPE, "aggregator": "probsparse", "encoding": "learned"},
}
MANY = {
    **FEW,
    "full": {**SERIES, "aggregator": "full", "encoding": "temporal", "patience": 2, "epochs": 2},
    "delta_v": {**SERIES, "aggregator": "delta_v", "encoding": "none"},
    "cross_terms": {**SERIES, "aggregator": "cross_terms", "encoding": "sinusoidal"},
    "max_pool": {**IMAGES, "aggregator": "max_pool", "encoding": "none"},
    "linear": {**IMAGES, "aggregator": "linear", "encoding": "sinusoidal", "color_jitter": 0.4},
    "published": {**IMAGES, "aggregator": "published", "encoding": "none"},
}

# A line is noted with a flag that functions have (CO_OPTIMIZED), and modules and bodies of classes have not.
_TRACED = """
import json, sys
from pathlib import Path

root, run, out = sys.argv[1], json.loads(sys.argv[2]), Path(sys.argv[3])
lines, favit = {}, root + "/favit/"

def line(frame, event, argument):
    if event == "line":
        lines[frame.f_code.co_filename].add((frame.f_lineno, frame.f_code.co_flags & 1))
    return line

def call(frame, event, argument):
    name = frame.f_code.co_filename
    if name.startswith(favit) and "/train/life/" not in name:
        lines.setdefault(name, set()).add((frame.f_lineno, frame.f_code.co_flags & 1))
        return line

class Host:
    def __getattr__(self, name):
        return lambda *arguments: {} if name == "measured" else None

sys.settrace(call)
import torch
torch.set_num_threads(1)
from favit.train import engine
from favit.train.distributed import World
engine.trainer(run, Path("data"), torch.device("cpu"), World(), 0, Host()).train()
sys.settrace(None)
out.write_text(json.dumps({name.removeprefix(root + "/"): sorted(found) for name, found in lines.items()}))
"""


def roots_of(kind: str) -> list[str]:
    """Where the code of a kind of run begins."""
    return [ENGINE, *named(resolve(MANY[kind]))]


Lines = dict[str, dict[str, set[int]]]  # kind -> file below the repository -> lines


def executed(kinds: list[str], folder: Path) -> tuple[Lines, Lines]:
    """The lines that were executed inside functions, and those outside, when files were imported."""
    inside: Lines = {}
    outside: Lines = {}
    for kind in kinds:
        out, run = folder / f"{kind}.json", json.dumps(dict(resolve(MANY[kind]).settings))
        command = [sys.executable, "-c", _TRACED, str(ROOT), run, str(out)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr[-3000:]
        lines: dict[str, list[tuple[int, int]]] = json.loads(out.read_text())
        for found, is_outside in ((inside, False), (outside, True)):
            found[kind] = {
                name: {number for number, of_function in numbers if bool(of_function) != is_outside}
                for name, numbers in lines.items()
            }
    return inside, outside
