"""The benchmarks of models and training, and the check of a GPU, need no more than what trains."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Imports them where what a machine that only trains may lack cannot be imported
CODE = """
import importlib, sys
import favit.models._torchvision_cpu, timm  # timm brings what it needs itself, and knows how to do without
absent = set("PIL vega_datasets sklearn snakemake submitit scipy matplotlib yaml jsonschema filelock jinja2".split())
class Finder:
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in absent:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Finder())
for name in [name for name in sys.modules if name.split(".")[0] in absent]:
    sys.modules[name] = None
sys.path[:0] = ["benchmarks"]
for name in ("gpu_check", "bench_training", "bench_favit", "bench_informer", "bench_cpu", "all"):
    importlib.import_module(name)
"""


@pytest.mark.slow
def test_they_import_nothing_else() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_without_a_gpu_the_check_says_so_in_one_line() -> None:
    command = [sys.executable, "benchmarks/gpu_check.py"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=600, env={"CUDA_VISIBLE_DEVICES": ""}
    )
    assert (done.returncode, done.stdout) == (0, "gpu_check: skipped, torch finds no CUDA device here\n")
