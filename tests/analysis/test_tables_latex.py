"""Every table compiles alone and in a two-column paper, and nothing in it is wider than the page."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from favit.analysis.latex import escape, number_column
from favit.analysis.render import to_latex
from favit.analysis.sweep_tables import table_spec
from favit.analysis.tables import Cost, RunResult, make
from favit.sweeps.config import SweepConfig, load
from favit.sweeps.runs import cells

pdflatex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX (pdflatex) on this machine")

ALONE = r"\documentclass{article}"
PAPER = r"\documentclass[twocolumn]{article}"


def compile_latex(folder: Path, preamble: str, body: str) -> str:
    """The log of a compilation without a single error."""
    source = "\n".join(
        [preamble, r"\usepackage{booktabs,graphicx,siunitx}", r"\begin{document}", body, r"\end{document}"]
    )
    (folder / "doc.tex").write_text(source, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "doc.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=120, check=False)
    log = (folder / "doc.log").read_text(encoding="utf-8", errors="replace")
    assert done.returncode == 0, log[-3000:]
    return log


@pytest.fixture(params=["mixed", "series", "empty"])
def text(request, images, series, runs, mixed) -> str:
    """A table of each kind as LaTeX."""
    if request.param == "mixed":
        return to_latex(make(images, mixed))
    if request.param == "empty":
        return to_latex(make(images, []))
    rows = (("vanilla", 0.5), ("pope", 0.9), ("delta_v", 0.7))
    return to_latex(
        make(series, [runs.series(r, s, e, horizon=h) for r, e in rows for s in (0, 1) for h in (24, 96)])
    )


@pdflatex
@pytest.mark.parametrize("preamble", [ALONE, PAPER], ids=["alone", "two-column"])
def test_tables_compile(tmp_path, text, preamble):
    log = compile_latex(tmp_path, preamble, text)
    assert "Overfull" not in log
    assert not re.search(r"(Package|Class) \w+ Warning", log)


@pdflatex
@pytest.mark.parametrize(
    ("preamble", "baseline", "environment"),
    [
        (PAPER, None, "table"),
        (PAPER, "max_pool", "table*"),
        (ALONE, "max_pool", "table*"),
        (ALONE, None, "table"),
    ],
)
def test_a_table_takes_one_column_where_it_fits(tmp_path, images, runs, preamble, baseline, environment):
    """Few columns fit into a column of a paper; those of a comparison, with long labels, do not."""
    spec = replace(images, baseline=baseline, rows=tuple(replace(r, reference=None) for r in images.rows))
    if baseline is None:
        spec = replace(spec, rows=tuple(replace(r, label=r.id) for r in spec.rows))
    else:
        spec = replace(spec, rows=tuple(replace(r, label=r.id * 5) for r in spec.rows))
    table = make(spec, [runs.image(row.id, 0, 60) for row in spec.rows])
    body = to_latex(table) + r"\typeout{CHOSEN \favittable}"
    assert f"CHOSEN {environment}\n" in compile_latex(tmp_path, preamble, body + "\n\n" + to_latex(table))


def _made_up(sweep: SweepConfig) -> str:
    """A sweep's table as LaTeX: scores of all runs but one that is stale, and labels that LaTeX stumbles over."""
    rng = np.random.default_rng(0)
    in_sweep = cells(sweep)
    spec = table_spec(sweep, in_sweep)
    spec = replace(spec, rows=tuple(replace(row, label=f"{row.label} & 5_% #{{~}}") for row in spec.rows))
    results = []
    for cell in in_sweep:
        scores = {key: float(v) for key, v in zip(("top1", "top5"), rng.uniform(60, 99.99, 2), strict=True)}
        scores |= {key: float(v) for key, v in zip(("mse", "mae"), rng.uniform(0.1, 1.2, 2), strict=True)}
        seed = cell.run["seed"]
        metrics = {"status": "finished", "metrics": scores, "baseline": {"repeat_last_mse": 1.321}}
        results.append(RunResult(cell.row, dict(cell.group), seed, "valid", metrics, randomness=seed))
    why = "settings: epochs 4 -> 3; code: models/_attend.py: attend, _runs_eagerly_on_cpu, models/_fasa.py (new)"
    results[0] = replace(results[0], state="stale", note=why)
    cost = Cost(3_212_345, 61_234_567, 3_443_245)
    return to_latex(make(spec, results, {(spec.key(r.group), r.row_id): cost for r in results}))


@pdflatex
@pytest.mark.parametrize(
    "preamble", [pytest.param(ALONE, marks=pytest.mark.slow), PAPER], ids=["alone", "two-column"]
)
def test_tables_of_every_sweep_compile(tmp_path, preamble):
    config = load(Path(__file__).parents[2] / "config.yaml")
    body = "\n\\clearpage\n".join(_made_up(sweep) for sweep in config.sweeps.values())
    log = compile_latex(tmp_path, preamble, body)
    assert "Overfull" not in log
    assert not re.search(r"(Package|Class) \w+ Warning", log)


@pdflatex
def test_any_text_can_be_a_label(tmp_path):
    body = "\n\n".join(
        escape(text) for text in ["".join(map(chr, range(32, 0x400))), "ΔV × α ≥ Ω – “a”", "雪 ☃ ﬁ ①"]
    )
    compile_latex(tmp_path, PAPER, body)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("full_attention & 5 %", r"full\_attention \& 5~\%"),
        (r"a\b{c}", r"a\textbackslash{}b\{c\}"),
        ("value + ΔV", r"value + $\Delta$V"),
        ("☃", "[U+2603]"),
    ],
)
def test_escape(text, expected):
    assert escape(text) == expected


def test_columns_are_as_wide_as_their_numbers():
    assert number_column(["70.77", "9.1"]) == "S[table-format=2.2]"
    assert number_column(["+1.87", "-12.5"], post="x") == "S[table-format=+2.2,table-space-text-post={x}]"
    assert number_column([]) == "S[table-format=1.0]"
