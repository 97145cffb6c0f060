"""What a run's code would read unnoticed: modules beside favit are refused, files and the environment are told."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from favit.identity import outside
from favit.identity.closure import Reader
from tests.conftest import Project, copy_project

FIRST = "from __future__ import annotations\n"
SWEEP = {
    "matrix": {
        "dataset": ["csv"], "model": ["informer"], "aggregator": ["full"], "encoding": ["none"], "seed": [0],
    },
    "settings": {"dataset.path": "own.csv", "schedule": "constant"},
}  # fmt: skip


@pytest.fixture
def checkout(tmp_path: Path) -> Project:
    """A copy of the project with one run; nothing is trained."""
    copy = copy_project(tmp_path / "project")
    copy.configure({"sweeps": {"s": SWEEP}})
    (copy.root / "data").mkdir()
    (copy.root / "data" / "own.csv").write_text("date,x\n2020-01-01,1\n")
    return copy


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("import helpers", "helpers"),
        ("from helpers import factor", "helpers"),
        ("import tools.helpers as t", "tools.helpers"),
        ("    from helpers import factor", "helpers"),
        ('import importlib\nh = importlib.import_module("helpers")', "helpers"),
    ],
)
def test_an_import_of_a_file_beside_favit_is_refused(checkout: Project, statement: str, named: str) -> None:
    (checkout.root / "helpers.py").write_text("factor = 2\n")
    (checkout.root / "tools").mkdir()
    (checkout.root / "tools" / "helpers.py").write_text("factor = 2\n")
    added = statement if not statement.startswith(" ") else f"def f():\n{statement}"
    checkout.edit("favit/attention/full.py", FIRST, f"{FIRST}\n{added}\n")
    done = checkout.python("-m", "favit", "explain", check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert (
        "favit/attention/full.py, line" in done.stderr and f"imports {named} from this project" in done.stderr
    )
    assert "Move it into favit/" in done.stderr


def test_a_file_beside_favit_that_no_run_imports_is_in_nobody_s_way(checkout: Project) -> None:
    (checkout.root / "helpers.py").write_text("factor = 2\n")
    (checkout.root / "torch_notes").mkdir()
    checkout.edit("favit/attention/full.py", FIRST, f"{FIRST}\n# helpers would be nice\n")
    checkout.edit("favit/attention/delta_v.py", FIRST, f"{FIRST}\nimport helpers\n")
    done = checkout.python("-m", "favit", "explain")
    assert "missing  csv informer.full.none.seed0" in done.stdout and done.stderr == ""


READS = [
    ('import os\nA = os.environ.get("X")', "an environment variable"),
    ('from os import getenv\nB = getenv("X")', "an environment variable"),
    ('C = open("factors.txt").read()', "a file"),
    ('from pathlib import Path\nD = Path("factors.txt").read_text()', "a file"),
    ("import torch as t\nfrom pathlib import Path as P\nE = P.cwd()", "the working directory"),
    ("F = len(__doc__)", "a docstring"),
    ('import numpy as np\nG = np.load("x.npy")', "a file"),
    ('import pandas as pd\nH = pd.read_parquet("x")', "a file"),
    ("from torch import load", "a file"),
    ("from safetensors.torch import load_file", "a file"),
    ('import torch\nI = torch.ops.load_library("fast.so")', "a compiled library"),
    ('import ctypes\nJ = ctypes.CDLL("fast.so")', "a compiled library"),
    ('from torch.utils import cpp_extension\nK = cpp_extension.load("fast", ["fast.cpp"])', "a file"),
    ("from importlib.util import spec_from_file_location", "a program from a file"),
    ("from pathlib import Path\nL = sorted(Path().iterdir())", "what is in a folder"),
    ('from urllib.request import urlopen\nM = urlopen("https://example.org")', "the network"),
]


def test_what_a_mechanism_reads_besides_is_told(checkout: Project) -> None:
    (checkout.root / "factors.txt").write_text("2")
    source = "\n".join(statement for statement, _ in READS)
    checkout.edit("favit/attention/full.py", FIRST, f"{FIRST}\n{source}\n")
    lines = (checkout.root / "favit" / "attention" / "full.py").read_text().splitlines()
    told = checkout.python("-m", "favit", "explain").stderr.splitlines()
    for statement, what in READS:
        number = lines.index(statement.splitlines()[-1]) + 1
        place = f"favit/attention/full.py, line {number}"
        assert any(place in line and f"reads {what}, which is not tracked" in line for line in told), told


def test_the_shipped_mechanisms_read_nothing_untracked() -> None:
    reader = Reader()
    rooms = ("aggregators", "attention", "encodings", "models")
    names = [
        f"favit.{room}.{path.stem}"
        for room in rooms
        for path in (reader.root / "favit" / room).glob("[!_]*.py")
    ]
    closure = reader.closure(names)
    assert len(closure.modules) > 20 and outside.untracked(closure.modules, reader) == []
    outside.check(closure, reader)


@pytest.mark.slow
@pytest.mark.workflow
def test_a_dry_run_says_it(checkout: Project) -> None:
    """Started once with Snakemake: the warning and the refusal are those of `favit explain`."""
    config = yaml.safe_load((checkout.root / "config.yaml").read_text())
    config["sweeps"]["s"]["table"] = {"caption": "c", "label": "tab:s"}
    checkout.configure(config)
    checkout.edit("favit/attention/full.py", FIRST, f'{FIRST}\nimport os\nX = os.environ.get("X")\n')
    done = checkout.snakemake("-n", "s")
    assert "reads an environment variable, which is not tracked" in done.stdout + done.stderr
    (checkout.root / "helpers.py").write_text("factor = 2\n")
    checkout.edit("favit/attention/full.py", FIRST, f"{FIRST}\nimport helpers\n")
    done = checkout.snakemake("-n", "s", check=False)
    assert done.returncode == 1 and "imports helpers from this project but outside favit/" in done.stderr
