"""The README's first example does what it says, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_first_example_runs(tmp_path: Path) -> None:
    section = README.partition("## Try it\n")[2].partition("\n## ")[0]
    snakefile, commands = re.findall(r"```(?:python|sh)\n(.*?)```", section, re.DOTALL)
    (tmp_path / "Snakefile").write_text(snakefile)
    package = str(Path(__file__).parents[1])
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONPATH": f"{package}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
    }
    done = subprocess.run(
        ["bash", "-ec", commands], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [(tmp_path / "squares" / f"{n}.txt").read_text() for n in range(4)] == ["0\n", "1\n", "4\n", "9\n"]
    assert done.stdout.count("finished  square.") == 4
