"""Closures are complete and no larger than needed: held against what real runs import."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from favit.identity.closure import ROOT, Reader
from favit.identity.digests import text_digest
from favit.identity.fingerprint import roots
from favit.sweeps.runs import Run, resolve
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

TRACE = """
import atexit, json, runpy, sys
sys.argv = ["favit.train", *sys.argv[2:]] if False else sys.argv
out = sys.argv.pop(1)
def write():
    names = sorted(n for n in sys.modules if n == "favit" or n.startswith("favit."))
    open(out, "w").write(json.dumps([*names, "favit.train.__main__"]))
atexit.register(write)
runpy.run_module("favit.train", run_name="__main__", alter_sys=True)
"""


def run_of(kind: str) -> Run:
    return resolve(KINDS[kind])


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Kind -> modules of favit that a real run of it imports, in an envelope as the workflow gives it."""
    folder = tmp_path_factory.mktemp("traces")
    found = {}
    for number, kind in enumerate(KINDS):
        run = run_of(kind)
        fingerprint = {"digest": f"{number}", "settings": text_digest(run.key)}
        envelope = {"run": dict(run.settings), "fingerprint": fingerprint}
        request, trace = folder / f"{number}.json", folder / f"{number}.trace"
        request.write_text(json.dumps(envelope))
        command = [sys.executable, "-c", TRACE, str(trace), "--run", str(request), "--device", "cpu"]
        done = subprocess.run(
            [*command, "--threads", "1", "--out", str(folder / str(number))],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        found[kind] = set(json.loads(trace.read_text()))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_that_a_run_imports_lies_outside_its_closure(kind: str, traces: dict[str, set[str]]) -> None:
    closure = Reader().closure(roots(run_of(kind)))
    assert traces[kind] <= set(closure.modules)


@pytest.mark.slow
def test_mutating_a_module_invalidates_the_runs_that_touch_it(
    traces: dict[str, set[str]], tmp_path: Path
) -> None:
    """Every module of favit in turn: the runs whose digest changes are those whose trace holds it."""
    shutil.copytree(ROOT / "favit", tmp_path / "favit", ignore=shutil.ignore_patterns("__pycache__"))
    before = digests(tmp_path)
    too_many, too_few = {}, {}
    for path in sorted((tmp_path / "favit").rglob("*.py")):
        source = path.read_text()
        path.write_text(source + "\n_MUTATED = True\n")
        after = digests(tmp_path)
        path.write_text(source)
        parts = path.relative_to(tmp_path).with_suffix("").parts
        module = ".".join(parts).removesuffix(".__init__")
        invalid = {kind for kind in KINDS if after[kind] != before[kind]}
        touched = {kind for kind in KINDS if module in traces[kind]}
        if touched - invalid:
            too_few[module] = touched - invalid
        if invalid - touched:
            too_many[module] = invalid - touched
    assert too_few == {}
    assert too_many == {}


def digests(root: Path) -> dict[str, str]:
    reader = Reader(root=root)
    return {kind: reader.closure(roots(run_of(kind))).digest for kind in KINDS}
