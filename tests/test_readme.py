"""What the README tells people to type and to write is true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

from favit.commands.main import VERBS
from favit.identity.closure import ROOT
from favit.sweeps.config import parse
from favit.sweeps.runs import runs

README = (ROOT / "README.md").read_text()


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found is not None
    return found.group(1)


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z-]+)", README))
    assert named and named <= targets


def test_every_path_exists() -> None:
    for path in re.findall(r"`((?:favit|slurm|jobs|tests)/[\w./]+)`", README):
        assert (ROOT / path).exists(), path


def test_the_configuration_shown_is_valid() -> None:
    sweeps = yaml.safe_load(block("yaml"))["sweeps"]
    raw = yaml.safe_load((ROOT / "config.yaml").read_text())
    config = parse({**raw, "groups": {}, "sweeps": sweeps})
    assert len(runs(config, "my-ablation")) == 2 * 2 * 3


def test_the_aggregator_shown_trains_in_favit(tmp_path: Path) -> None:
    (tmp_path / "my_lab" / "aggregators").mkdir(parents=True)
    (tmp_path / "my_lab" / "aggregators" / "median.py").write_text(block("python"))
    code = (
        "from favit.components import own\n"
        "own.use(['my_lab'])\n"
        "import favit.models, timm, torch\n"
        "model = timm.create_model('favit_b0', num_classes=10, aggregator='median', img_size=64)\n"
        "model(torch.zeros(2, 3, 64, 64)).sum().backward()\n"
        "assert all(p.grad is not None for p in model.parameters())\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def test_every_verb_and_profile_that_the_documentation_names_exists() -> None:
    pages = [README, *((ROOT / "docs" / name).read_text() for name in ("everyday.md", "retraining.md"))]
    named = {verb for page in pages for verb in re.findall(r"^(?:.*`)?favit ([a-z]+)\b", page, re.MULTILINE)}
    assert {"watch", "diff", "export", "reproduce", "explain"} <= named <= set(VERBS)
    for page in pages:
        for profile in re.findall(r"--profile ([a-z]+)", page):
            assert (ROOT / profile / "config.yaml").is_file(), profile
