"""What decides a run's numbers is found, all of it and nothing else: held against what real runs import and compute."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from favit.identity.closure import ROOT, Closure, Reader
from favit.identity.definitions import Sources
from favit.identity.digests import text_digest
from favit.identity.fingerprint import ENGINE, PROGRAM, named
from favit.sweeps.runs import Run, resolve
from favit.train import weights
from tests.identity.traced import module_of
from tests.workflow.conftest import TINY

SERIES = {"dataset": "seattle_weather", "model": "informer", "seed": 0, **TINY["recipes"]["series"]}
IMAGES = {"dataset": "digits", "model": "favit_b0", "seed": 0, **TINY["recipes"]["images"]}

# A run of each kind, and each with what switches further code on.
KINDS: dict[str, dict[str, Any]] = {
    "full": {**SERIES, "aggregator": "full", "encoding": "temporal"},
    "probsparse": {**SERIES, "aggregator": "probsparse", "encoding": "legendre"},
    "delta_v": {**SERIES, "aggregator": "delta_v", "encoding": "none"},
    "cross_terms": {**SERIES, "aggregator": "cross_terms", "encoding": "sinusoidal"},
    "max_pool": {**IMAGES, "aggregator": "max_pool", "encoding": "none"},
    "favit probsparse": {
        **IMAGES,
        "aggregator": "probsparse",
        "encoding": "learned",
        "randaugment": "m9-mstd0.5-inc1",
        "mixup": 0.8,
        "cutmix": 1.0,
        "erasing": 0.25,
        "crop_scale_min": 0.3,
        "flip": 0.5,
        "ema": 0.9,
    },
    "linear": {**IMAGES, "aggregator": "linear", "encoding": "sinusoidal"},
}

# Trains as a job does, and writes down which modules of favit were imported.
TRACED = """
import atexit, json, runpy, sys
out = sys.argv.pop(1)
def write():
    names = sorted(n for n in sys.modules if n == "favit" or n.startswith("favit."))
    open(out, "w").write(json.dumps([*names, "favit.train.life.__main__"]))
atexit.register(write)
runpy.run_module("favit.train.life", run_name="__main__", alter_sys=True)
"""

# Trains without any of a run's life: whatever is not in the code that decides its numbers cannot be imported.
BARE = """
import importlib.abc, json, sys
from pathlib import Path

request, out, allowed = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]), set(json.loads(sys.argv[3]))

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "favit" and name not in allowed:
            raise ImportError(f"{name} is no part of what decides a run's numbers")

class Host:
    def __getattr__(self, name):
        return lambda *arguments: {} if name == "measured" else None

sys.meta_path.insert(0, Refuse())
import numpy, torch
torch.set_num_threads(1)
from favit.train import engine
from favit.train.distributed import World
trainer = engine.trainer(request["run"], Path("data"), torch.device("cpu"), World(), 0, Host())
scores = trainer.train()
torch.save(trainer.learner.scored_model.state_dict(), out / "bare.pt")
numpy.savez(out / "bare.npz", **scores.predictions)
(out / "bare.json").write_text(json.dumps(scores.metrics))
"""


def run_of(kind: str) -> Run:
    return resolve(KINDS[kind])


def closure(kind: str, begin: str, root: Path = ROOT) -> Closure:
    return Reader(root=root).closure([begin, *named(run_of(kind))])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each kind with a run that was trained as a job trains it, and a trace of what it imported."""
    root = tmp_path_factory.mktemp("trained")
    for kind in KINDS:
        run, folder = run_of(kind), root / kind
        folder.mkdir()
        envelope = {
            "run": dict(run.settings),
            "fingerprint": {"digest": kind, "settings": text_digest(run.key)},
        }
        (folder / "request.json").write_text(json.dumps(envelope))
        words = ["--run", folder / "request.json", "--device", "cpu", "--threads", 1, "--keep", "weights"]
        _python(TRACED, folder / "trace.json", *words, "--out", folder / "out")
    return root


def _python(code: str, *words: object) -> None:
    command = [sys.executable, "-c", code, *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]


def traced(trained: Path, kind: str) -> set[str]:
    return set(json.loads((trained / kind / "trace.json").read_text()))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_that_a_run_imports_lies_outside_its_snapshot(kind: str, trained: Path) -> None:
    assert traced(trained, kind) <= set(closure(kind, PROGRAM).modules)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_code_of_a_run_alone_gives_its_numbers_to_the_bit(kind: str, trained: Path) -> None:
    """Training without request, lease, signals, reporter and records ends with the same weights and scores."""
    folder, allowed = trained / kind, json.dumps(sorted(closure(kind, ENGINE).modules))
    _python(BARE, folder / "request.json", folder, allowed)
    theirs = weights.read(folder / "out" / "weights.safetensors")
    ours = torch.load(folder / "bare.pt", weights_only=True)
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    one, other = np.load(folder / "bare.npz"), np.load(folder / "out" / "predictions.npz")
    assert one.files == other.files and all(np.array_equal(one[name], other[name]) for name in one.files)
    metrics = json.loads((folder / "out" / "metrics.json").read_text())
    assert json.loads((folder / "bare.json").read_text()) == metrics["metrics"]


@pytest.mark.slow
def test_a_change_in_a_file_invalidates_the_runs_whose_numbers_it_decides(trained: Path) -> None:
    """Every file of favit in turn gains an effect: of the code of numbers it retrains those that import it, no
    other; of the life around them it retrains nothing."""
    sources, kept = Sources(), {kind: frozenset(closure(kind, PROGRAM).modules) for kind in KINDS}

    def digests() -> dict[str, str]:
        return {kind: sources.code([ENGINE, *named(run_of(kind))], kept[kind]).digest for kind in KINDS}

    before = digests()
    effect = "\nglobals()['_MUTATED'] = True\n"
    files = sorted((ROOT / "favit").rglob("*.py"))
    texts = {module_of(str(file.relative_to(ROOT))): file.read_text() + effect for file in files}
    apart = [module for module in texts if not any(module in held for held in kept.values())]
    for module in apart:  # in no program: all at once
        sources.replace(module, texts[module])
    assert digests() == before
    for module in apart:
        sources.restore(module)
    too_many, too_few, harmless = {}, {}, set()
    for module, text in texts.items():
        invalid: set[str] = set()
        if module not in apart:
            sources.replace(module, text)
            after = digests()
            sources.restore(module)
            invalid = {kind for kind in KINDS if after[kind] != before[kind]}
        touched = {kind for kind in KINDS if module in traced(trained, kind)}
        if touched and not invalid:
            harmless.add(module)
        elif touched - invalid:
            too_few[module] = touched - invalid
        elif invalid - touched:
            too_many[module] = invalid - touched
    assert len(apart) < len(texts) - len(harmless) and len(texts) > 300
    # Every program holds it, for models of one's own that import timm, and models/_timm.py could import it.
    too_many.pop("favit.models._torchvision_cpu", None)
    # Numbers that only a GPU computes; these runs were traced on a CPU.
    for module in ("favit.aggregators._probsparse_gpu", "favit.aggregators._probsparse_triton"):
        assert too_many.pop(module) == {"favit probsparse"}
    assert (too_few, too_many) == ({}, {})
    rooms = {".".join(module.split(".")[:3]) for module in harmless}
    assert {"favit.train.life"} <= rooms, "the run's life was not traced"
    # Of models/ the life around a run calls one file, which prepares torchvision where that is imported.
    outside = {"favit.models._torchvision"}
    assert not {module for module in harmless if module.startswith(NUMBERS)} - outside, harmless


# Rooms whose code decides numbers wherever a run imports it, and the files of train besides its life.
NUMBERS = (
    "favit.aggregators", "favit.attention", "favit.encodings", "favit.models", "favit.data", "favit.train.augment",
    "favit.train.feeds", "favit.train.loop", "favit.train.learner", "favit.train.seeds", "favit.train.order",
)  # fmt: skip
