"""``favit check`` answers whatever is wrong with a component or its data in a line, once, and goes on to the next."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml

from favit.commands import main
from favit.components import own
from tests.contracts.conftest import Write
from tests.contracts.conftest import write as write  # the fixture

NOWHERE = ("--config", "/nowhere")
DATA = """
import torch
from favit.data._images import ImageData

TASK = "classification"
FACTS = {"classes": 2, "channels": 3, "image_size": 4}


def load(root, run):
    images, labels = torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.tensor([0, 1])
    return ImageData(images, labels, images, labels, (0.5,) * 3, (0.5,) * 3, ("a", "b"))
"""
MODEL = 'VARIANTS = ("mine",)\nTASK = "classification"\nAGGREGATORS = "none"\n'


@pytest.mark.parametrize(
    ("where", "text", "said"),
    [
        ("aggregators/mine", "import no_such_package\n\n\nclass Aggregator: ...\n", "No module named 'no_such_p"),
        ("aggregators/mine", "raise SystemExit(3)\n\n\nclass Aggregator: ...\n", "SystemExit: 3"),
        ("aggregators/mine", "def Aggregator(:\n", "mine.py, line 1: invalid syntax"),
        ("aggregators/mine", "from favit.aggregators._more import x\n\n\nclass Aggregator: ...\n", "_more.py, line 1"),
        ("aggregators/mine", "", "has no class Aggregator; define it"),
        ("aggregators/mine", "class Aggregator: ...\n", "mine.py is no torch module; write class Aggregator(nn.Mod"),
        ("attention/mine", "class Attention: ...\n", "mine.py is no torch module; write class Attention(nn.Module)"),
        ("models/mine", MODEL, "has no function build; define it"),
        ("models/mine", MODEL.replace("TASK", "TASKS"), "TASK must be one of 'classification', 'forecasting'"),
        ("models/mine", MODEL.replace('"none"', '"some"'), "AGGREGATORS must be 'aggregators', 'attention' or 'none'"),
        ("data/mine", DATA.replace("def load", "def lode"), "has no function load; define it"),
        ("data/mine", DATA.replace("FACTS", "FACT"), "must say how many classes there are"),
        ("data/mine", DATA.replace("    images", "    raise KeyError('x')\n    images"), "KeyError: 'x'"),
        ("data/mine", DATA.replace("    images", "    raise ValueError('no, \\\n no')\n    images"), "no, no"),
        ("data/mine", DATA.replace("    images", "    raise SystemExit\n    images"), "SystemExit"),
    ],
)  # fmt: skip
def test_one_fault_is_one_line_and_the_next_component_is_checked(
    write: Write, capsys: pytest.CaptureFixture[str], where: str, text: str, said: str
) -> None:
    if "_more" in text:
        write("aggregators/_more", "def (")
    file = write(where, text)
    write("encodings/zzz", "from favit.encodings.none import Encoding as Encoding\n\nADDS_POSITION = False\n")
    assert main.main(["check", str(file.parents[1]), *NOWHERE]) == 1
    out, err = capsys.readouterr()
    failures = out.splitlines()[out.splitlines().index(next(x for x in out.splitlines() if "FAILED" in x)) :]
    assert said in failures[1] and out.count("FAILED") == 1 and not err
    assert "2 components" in failures[-1] and "zzz" in out


def test_a_folder_without_components_has_not_passed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my_lab" / "models").mkdir(parents=True)
    assert main.main(["check", str(tmp_path / "my_lab"), *NOWHERE]) == 1
    assert "no component in" in capsys.readouterr().err
    own.use(())


def test_a_file_of_one_s_own_is_checked_as_each_sweep_reads_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    good = pd.DataFrame({"date": pd.date_range("2020-01-01", periods=60), "x": range(60)})
    good.to_csv("data/good.csv", index=False)
    good.to_csv("data/semicolons.csv", index=False, sep=";")
    axes = {
        "dataset": ["csv"],
        "model": ["linear"],
        "aggregator": ["none"],
        "encoding": ["none"],
        "seed": [0],
    }
    window = {"input_length": 8, "label_length": 4, "horizon": 2, "schedule": "constant"}
    sweeps = {
        name: {"settings": {**window, "dataset.path": f"{name}.csv"}, "matrix": axes}
        for name in ("good", "semicolons", "absent")
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"sweeps": sweeps}))
    assert main.main(["check", "csv"]) == 1
    out = capsys.readouterr().out
    assert out.count("FAILED") == 1 and "dataset.separator: ';' would part it" in out
    assert "dataset.path: good.csv" in out and "absent.csv not found" in out and "8 checks: 1 failed" in out
    assert main.main(["check", "csv", *NOWHERE]) == 1
    assert "dataset.path is ''" in capsys.readouterr().err
