"""timm's names, known without importing it, are those that timm itself lists."""

from __future__ import annotations

import subprocess
import sys

import pytest

from favit.components import timm_names
from favit.identity.closure import ROOT
from favit.identity.fingerprint import Fingerprinter
from favit.sweeps.resolve import Run, resolve


def run(model: str) -> Run:
    return resolve({"dataset": "digits", "model": model, "aggregator": "none", "encoding": "none", "seed": 0})


def test_they_are_read_without_importing_timm_or_torch() -> None:
    code = (
        "import sys; from favit.components import timm_names as t; t.check('timm-resnet18');"
        "print(len(t.names()), not {'timm', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    count, clean = done.stdout.split()
    assert int(count) > 500 and clean == "True"


@pytest.mark.slow
def test_they_are_those_that_timm_lists() -> None:
    code = "from favit.models import timm as ours; import timm; print(*timm.list_models(include_tags=False))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = {name for name in done.stdout.split() if not name.startswith("favit_")}
    assert listed <= timm_names.names()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("timm/pvt_v2_b9", "did you mean 'timm/pvt_v2_b"),
        ("timm/resnet18.a1_in1k", "write timm/resnet18"),
        ("timm/resnet18.", "write timm/resnet18"),
        ("timm/../../etc", "unknown model"),
        ("timm/", "unknown model"),
        ("resnet18", "did you mean 'timm/resnet18'?"),
        ("TIMM/ResNet18", "did you mean 'timm/resnet18'?"),
        ("hf-hub:timm/resnet18.a1_in1k", "did you mean 'timm/resnet18'?"),
    ],
)
def test_other_names_are_refused(name: str, words: str) -> None:
    with pytest.raises(ValueError, match="timm") as raised:
        run(name)
    assert words in str(raised.value) and "\n" not in str(raised.value)


def test_a_path_keeps_its_levels() -> None:
    assert run("timm/resnet18")["model"] == run("timm-resnet18")["model"] == "timm-resnet18"


def test_their_runs_count_timms_exact_version() -> None:
    fingerprinter = Fingerprinter(ROOT / "data", policy={"torch": "minor", "timm": "minor"})
    made = fingerprinter.fingerprint(run("timm/resnet18"))
    assert made.policy["timm"] == "exact" and "timm" in made.versions
    pool = {"dataset": "digits", "model": "favit_b0", "aggregator": "max_pool", "encoding": "none", "seed": 0}
    assert fingerprinter.fingerprint(resolve(pool)).policy["timm"] == "minor"
    assert not {
        m for m in fingerprinter.program(run("timm/resnet18")).modules if m.startswith("favit.aggreg")
    }
