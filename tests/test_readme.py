"""What the README, the start and the how-tos tell people to type and to write is true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from favit.commands.main import VERBS
from favit.identity.closure import ROOT
from favit.sweeps.config import parse
from favit.sweeps.runs import runs

README = (ROOT / "README.md").read_text()
START = (ROOT / "docs" / "start.md").read_text()
TYPED = [README, START, *(p.read_text() for p in sorted((ROOT / "docs" / "howto").glob("*.md")))]


def test_the_readme_is_one_page() -> None:
    assert len(README.splitlines()) <= 120


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {word for page in TYPED for word in re.findall(r"(?:^|`)make ([a-z-]+)", page, re.MULTILINE)}
    assert {"demo", "test"} <= named <= targets


def test_every_path_exists() -> None:
    for page in TYPED:
        for path in re.findall(r"`((?:favit|slurm|jobs|tests|workstation)/[\w./]+)`", page):
            assert (ROOT / path).exists(), path


def test_the_sweep_of_the_start_is_valid() -> None:
    (added,) = re.findall(r"^cat >> config.yaml <<'EOF'\n(.*?)^EOF$", START, re.DOTALL | re.MULTILINE)
    config = parse(yaml.safe_load((ROOT / "config.yaml").read_text() + added))
    assert len(runs(config, "my-ablation")) == 2 * 2 + 2, (
        "two attentions and a model beside them, two seeds each"
    )


def test_every_configuration_shown_is_valid() -> None:
    raw = yaml.safe_load((ROOT / "config.yaml").read_text())
    blocks = [yaml.safe_load(b) for page in TYPED for b in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    shown = [
        block for block in blocks if block.keys() <= {"sweeps", "resources"}
    ]  # the others are of a profile
    counted = {
        name: len(runs(parse({**raw, "groups": {}, **b}), name))
        for b in shown
        for name in b.get("sweeps", {})
    }
    assert counted == {"my-ablation": 2 * 2 * 3, "imagenet-b2": 1}
    assert all(parse({**raw, **block}) for block in shown if "sweeps" not in block)


@pytest.mark.slow
def test_the_aggregator_shown_trains_in_favit(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "own-components.md").read_text()
    (example,) = [b for b in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "class Aggregator" in b]
    (tmp_path / "my_lab" / "aggregators").mkdir(parents=True)
    (tmp_path / "my_lab" / "aggregators" / "median.py").write_text(example)
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
    pages = [*TYPED, *((ROOT / "docs" / name).read_text() for name in ("everyday.md", "retraining.md"))]
    named = {verb for page in pages for verb in re.findall(r"^(?:.*`)?favit ([a-z]+)\b", page, re.MULTILINE)}
    assert {"watch", "diff", "export", "reproduce", "explain"} <= named <= set(VERBS)
    for page in pages:
        for profile in re.findall(r"--profile ([a-z]+)", page):
            assert (ROOT / profile / "config.yaml").is_file(), profile
