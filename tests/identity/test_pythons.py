"""Canonical texts are the same for every Python that may read them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from favit.identity.closure import ROOT
from favit.identity.facts import analyse
from tests.identity.test_closure import VERSION_SENSITIVE
from tests.identity.traps import CASES

_ANALYSE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from favit.identity.facts import analyse
print(json.dumps([analyse(s, "favit.x") for s in json.load(open(sys.argv[2]))]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("python", ["python3.12", "python3.13", "python3.14"])
def test_facts_are_the_same_for_every_python(python: str, tmp_path: Path) -> None:
    sources = [VERSION_SENSITIVE, *(p.read_text() for p in sorted((ROOT / "favit").rglob("*.py")))]
    sources += [text for case in CASES for text in case[1].values()]
    (tmp_path / "sources.json").write_text(json.dumps(sources))
    environment = {**os.environ, "PYENV_VERSION": python.removeprefix("python")}
    command = [python, "-c", _ANALYSE, str(ROOT), str(tmp_path / "sources.json")]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    except FileNotFoundError:
        pytest.skip(f"no {python} here")
    if "pyenv" in done.stderr:
        pytest.skip(f"no {python} here")
    assert done.returncode == 0, done.stderr
    here = json.loads(json.dumps([analyse(source, "favit.x") for source in sources]))
    for source, one, other in zip(sources, here, json.loads(done.stdout), strict=True):
        assert one == other, source[:300]
