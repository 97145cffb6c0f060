"""Components of one's own, one of each kind, from an installed wheel in an empty folder: to the table and back."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from favit.sweeps import shipped
from tests.conftest import ROOT

FILES = {
    "aggregators/median.py": """
from torch import Tensor, nn

from favit.aggregators._shared import middle


class Aggregator(nn.Module):
    def __init__(self, channels: int, heads: int, windows: int, *, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, samples: Tensor, queries: Tensor, key_map, grid) -> Tensor:
        return middle(samples) * self.scale
""",
    "aggregators/_shared.py": "def middle(samples):\n    return samples.median(dim=3).values\n",
    "attention/flat.py": """
import torch
from torch import Tensor, nn


class Attention(nn.Module):
    def __init__(self, length: int, causal: bool = False, dropout: float = 0.0) -> None:
        super().__init__()
        self.causal = causal

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        steps = torch.arange(1, v.shape[2] + 1, dtype=v.dtype, device=v.device)
        return v.cumsum(2) / steps[:, None] if self.causal else v.mean(2, keepdim=True).expand_as(v)
""",
    "encodings/ramp.py": """
import torch
from torch import Tensor, nn


class Encoding(nn.Module):
    def __init__(self, dim: int, length: int | None = None, grid: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.register_buffer("ones", torch.ones(dim), persistent=False)

    def forward(self, *lengths: int) -> Tensor:
        if len(lengths) not in (1, 2) or min(lengths) < 1:
            raise ValueError(f"ramp takes a length, or rows and columns, not {lengths}")
        count = lengths[0] * (lengths[1] if len(lengths) == 2 else 1)
        return torch.arange(count, device=self.ones.device)[:, None] / 100 * self.ones
""",
    "models/tiny.py": """
import torchvision.transforms.functional
from timm.layers import Mlp
from torch import nn

VARIANTS = ("tiny_mlp",)
TASK = "classification"


def build(run, facts):
    inside = facts["channels"] * run["image_size"] ** 2
    return nn.Sequential(nn.Flatten(), Mlp(inside, 16, facts["classes"]))
""",
    "data/stripes.py": """
import torch

from favit.data._images import ImageData

TASK = "classification"
FACTS = {"classes": 2, "channels": 3, "image_size": 8}
FILES = {"stripes.txt": ""}


def load(root, run):
    count = int((root / "stripes.txt").read_text())
    labels = torch.arange(count) % 2
    images = torch.zeros(count, 3, 8, 8, dtype=torch.uint8)
    images[labels == 0, :, ::2] = 255
    images[labels == 1, :, :, ::2] = 255
    half = count // 2
    return ImageData(images[:half], labels[:half], images[half:], labels[half:], (0.5,) * 3, (0.5,) * 3, ("-", "|"))
""",
}
SHORT = {"epochs": 1, "batch_size": 16, "schedule": "constant"}
SWEEPS = {
    "pictures": {
        "settings": {**SHORT, "image_size": 32},
        "matrix": {
            "dataset": ["stripes"],
            "model": ["tiny_mlp", "favit_b0"],
            "aggregator": ["median"],
            "encoding": ["none"],
            "seed": [0],
        },
    },
    "days": {
        "settings": {**SHORT, "input_length": 8, "label_length": 4, "horizon": 2, "model.d_model": 8,
                     "model.n_heads": 2, "model.d_ff": 8, "batch_size": 512},
        "matrix": {"dataset": ["seattle_weather"], "model": ["informer"], "aggregator": ["flat"],
                   "encoding": ["ramp"], "seed": [0]},
    },
}  # fmt: skip


@dataclass
class Installed:
    """A folder, and an environment in which ``favit`` is the wheel and nothing of the checkout can be imported."""

    python: Path
    folder: Path
    wheels: dict[str, Path]

    def run(self, *words: str, check: bool = True) -> str:
        hidden = ("PYTHONPATH", "PYTEST_CURRENT_TEST")
        environment = {k: v for k, v in os.environ.items() if k not in hidden} | {"OMP_NUM_THREADS": "1"}
        command = [str(self.python), "-m", *words]
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=900
        )
        assert not check or done.returncode == 0, f"{words}\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheels of this checkout in an environment of their own, beside the packages of this one; an empty folder."""
    if importlib.util.find_spec("hatchling") is None:
        message = "hatchling is not installed, and the wheel cannot be built; make setup installs it"
        # Continuous integration starts from `make setup`: there its absence is a defect and no reason to skip.
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    pytest.importorskip("vega_datasets")
    place = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    run = {"cwd": ROOT, "check": True, "capture_output": True, "timeout": 600}
    subprocess.run(
        [*pip, "wheel", ".", "./jobs", "--no-build-isolation", "--no-deps", "--no-index", "-w", place], **run
    )
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place / "venv"], **run)
    python = place / "venv" / "bin" / "python"
    (site,) = (place / "venv" / "lib").glob("*/site-packages")
    # A folder named in a .pth is searched, but its own .pth files are not read: the editable checkout is left out.
    (site / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    wheels = {wheel.name.partition("-")[0]: wheel for wheel in place.glob("*.whl")}
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "--python",
            python,
            "install",
            "-q",
            "--no-deps",
            "--no-index",
            *wheels.values(),
        ],
        **run,
    )
    (place / "empty").mkdir()
    return Installed(python, place / "empty", wheels)


@pytest.mark.slow
def test_the_wheels_carry_what_a_checkout_has(installed: Installed) -> None:
    """Every file of both packages, and what ``favit init`` lays out."""
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True
    ).stdout.split("\0")
    executor = "snakemake_executor_plugin_submitit"
    wanted = {
        "favit_probsparse": [
            *(name for name in tracked if name.startswith("favit/")),
            *(f"favit/_project/{name}" for name in tracked if name.split("/")[0] in shipped.NAMES),
        ],
        executor: [name.removeprefix("jobs/") for name in tracked if name.startswith(f"jobs/{executor}/")],
    }
    for name, wheel in installed.wheels.items():
        inside = set(zipfile.ZipFile(wheel).namelist())
        assert wanted[name] and set(wanted[name]) <= inside, set(wanted[name]) - inside
        assert any(file.endswith("licenses/LICENSE") for file in inside)


@pytest.mark.slow
@pytest.mark.workflow
def test_one_of_each_kind_from_an_empty_folder_to_the_table_and_back(installed: Installed) -> None:
    """Dry run, training, table, change, reason; then the change taken back."""
    folder = installed.folder
    installed.run("favit", "init")
    assert {p.name for p in folder.iterdir()} == {
        "Snakefile", "config.yaml", "workflow", "slurm", "workstation", "my_lab", ".gitignore", shipped.RECORD,
    }  # fmt: skip
    assert "already holds a project" in installed.run("favit", "init", check=False)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["components"] == ["my_lab"] and "cifar100-aggregators" in config["sweeps"]
    for name, text in FILES.items():
        (folder / "my_lab" / name).parent.mkdir(exist_ok=True)
        (folder / "my_lab" / name).write_text(text)
    config |= {"sweeps": SWEEPS, "groups": {}, "recipes": {}, "device": "cpu"}
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    (folder / "data").mkdir()
    (folder / "data" / "stripes.txt").write_text("64")

    installed.run("snakemake_executor_plugin_submitit", "status")
    said = installed.run("snakemake", "-n", "--profile", "slurm", "pictures", "days")
    assert said.count("never run before") == 3
    said = installed.run("snakemake", "-n", "pictures", "days")
    assert said.count("never run before") == 3 and "stripes tiny_mlp.median.none.seed0" in said

    installed.run("snakemake", "--cores", "1", "pictures", "days")
    tables = {name: (folder / "results" / "tables" / f"{name}.md").read_text() for name in SWEEPS}
    assert "median" in tables["pictures"] and "flat" in tables["days"]
    kept = {
        str(p.relative_to(p.parents[2])) for p in (folder / "results" / "snapshots").glob("*/favit/*/*.py")
    }
    assert {f"favit/{name}" for name in FILES} <= kept, "own files lie beside the built-in ones in snapshots"
    assert installed.run("favit", "explain").count("valid") == 3

    shared = folder / "my_lab" / "aggregators" / "_shared.py"
    shared.write_text("# a comment changes nothing\n" + FILES["aggregators/_shared.py"])
    assert installed.run("favit", "explain").count("valid") == 3
    shared.write_text(FILES["aggregators/_shared.py"].replace("median(dim=3).values", "amax(dim=3)"))
    said = installed.run("favit", "explain")
    assert "code: aggregators/_shared.py: middle" in said
    assert said.count("missing") == 1 and said.count("valid") == 2, "only FaViT fuses with it"
    shared.write_text(FILES["aggregators/_shared.py"])
    (folder / "my_lab" / "data" / "stripes.py").touch()
    assert installed.run("favit", "explain").count("valid") == 3
    (folder / "data" / "stripes.txt").write_text("66")
    assert installed.run("favit", "explain", "pictures").count("data: stripes.txt") == 2
