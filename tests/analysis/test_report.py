"""The report: figures show what is in the files, and the page opens whole in a real browser."""

from __future__ import annotations

import html
import json
import math
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from favit.analysis.figures import errors, gains, learning_curves, pareto
from favit.analysis.figures._base import Plot, Section, panels, style
from favit.analysis.histories import scores_by_epoch
from favit.analysis.page import behind, report
from favit.analysis.page.html import table_html
from favit.analysis.tables import Cost, Row, make

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


def _with_history(results, epochs=5):
    """Give every finished run the history that training leaves."""
    for run in results:
        if run.predictions is None:
            continue
        score = "test_top1" if "top1" in run.metrics["metrics"] else "validation_mse"
        lines = [f"epoch,train_loss,lr,{score},seconds"]
        lines += [f"{e},{1 / e},0.1,{10 * e + run.seed},1.5" for e in range(1, epochs + 1)]
        (run.predictions.parent / "history.csv").write_text("\n".join(lines) + "\n")
        run.metrics.update(
            started="2026-01-02T03:00:00+00:00",
            finished="2026-01-02T04:00:00+00:00",
            device_seconds=1800.0,
            commit="0123456789abcdef",
            versions={"torch": "2.13.0"},
            hardware={"cpu": "A CPU", "gpus": []},
        )
    return results


@pytest.fixture
def section(mixed, images) -> Section:
    """Images with everything that can happen to a run."""
    results = _with_history(list(mixed))
    costs = {(images.key(r.group), r.row_id): Cost(3_200_000, 600_000_000 + 10_000 * r.seed) for r in results}
    return Section(make(images, results, costs), results)


@pytest.fixture
def forecasts(runs, series) -> Section:
    """Forecasting at two horizons."""
    rows = (("vanilla", 0.5), ("pope", 0.9), ("delta_v", 0.7))
    results = [runs.series(r, s, e, horizon=h) for r, e in rows for s in (0, 1) for h in (24, 96)]
    for run in results:
        with np.load(run.predictions) as file:
            arrays = dict(file)
        profile = {"by_step_squared": np.linspace(0.1, 1, 24), "by_variable_squared": np.arange(7.0)}
        np.savez(run.predictions, **arrays, **profile)
    results = _with_history(results)
    return Section(make(series, results), results)


@pytest.fixture
def no_encodings(monkeypatch):
    """Leaves out the figure of the encodings, which is slow and needs no run; the browser's test has it."""
    plot = Plot("encodings", "", "", Figure(figsize=(1, 1)))
    monkeypatch.setattr(report.encodings, "draw", lambda: plot)


def _lines(panel):
    return {line.get_label(): line.get_ydata() for line in panel.get_lines()}


def test_learning_curves_are_means_over_seeds(section):
    first = learning_curves.draw(section, Path()).figure.axes[0]
    label = next(row.label for row in section.rows if row.id == "probsparse")
    np.testing.assert_allclose(_lines(first)[label], [10 * e + 1 for e in range(1, 6)])  # seeds 0, 1, 2


def test_runs_that_are_still_going_are_marked(mixed, images, tmp_path):
    """Of one that is being trained the scores so far, ended by an open circle, and said in the caption."""
    results = _with_history(list(mixed))
    place = next(i for i, run in enumerate(results) if run.state == "running")
    (tmp_path / "history.csv").write_text("epoch,test_top1\n1,30.5\n2,31.5\n")
    assert (
        "still in training"
        not in learning_curves.draw(Section(make(images, results), results), Path()).caption
    )
    results[place] = replace(results[place], folder=tmp_path)
    plot = learning_curves.draw(Section(make(images, results), results), Path())
    [line] = [x for x in plot.figure.axes[0].get_lines() if str(x.get_gid()).startswith("going")]
    assert (line.get_gid(), list(line.get_ydata())) == ("going avg_pool", [30.5, 31.5])
    assert line.get_markerfacecolor() == "none" and "1 run still in training" in plot.caption
    (label,) = [t.get_text() for t in plot.figure.legends[0].get_texts() if "_child" in t.get_text()] or ("",)
    assert label == ""  # it is no entry of the legend


@pytest.mark.parametrize(
    ("text", "scores"),
    [
        ("epoch,test_top1\n1,50\n2,nan\n3,60\n", [50, math.nan, 60]),
        ("epoch,test_top1\n1,50\n2", [50]),
        ("epoch,test_top1\n1,50\n2,6x\n3,70\n", [50]),
        ("epoch,loss\n1,50\n", []),
        ("", []),
        ("epoch,test_top1\n1,\x00\n", []),
    ],
)
def test_a_history_that_was_damaged_counts_as_far_as_it_can_be_read(text, scores, tmp_path):
    (tmp_path / "history.csv").write_text(text)
    assert scores_by_epoch(tmp_path, "top1") == pytest.approx(scores, nan_ok=True)
    (tmp_path / "history.csv").write_bytes(b"epoch,test_top1\n1,\xff\n")
    assert scores_by_epoch(tmp_path, "top1") == []


def test_a_curve_leaves_out_what_is_no_number_and_keeps_its_epochs(tmp_path, mixed, images):
    (tmp_path / "history.csv").write_text("epoch,test_top1\n1,50\n2,nan\n3,60\n")
    run = replace(mixed[0], folder=tmp_path)
    drawn = behind._curve(run, "top1", "Top-1")
    assert [point.split(",")[0] for point in drawn.points.split()] == ["6.0", "314.0"]
    assert drawn.caption == "Top-1 by epoch, 1 to 3: 50 to 60"


def test_curves_end_with_the_first_seed_to_stop(section):
    run = next(r for r in section.results if r.row_id == "probsparse" and r.seed == 1)
    history = run.predictions.parent / "history.csv"
    history.write_text("\n".join(history.read_text().splitlines()[:4]) + "\n")
    figure = learning_curves.draw(section, Path()).figure
    label = next(row.label for row in section.rows if row.id == "probsparse")
    assert len(_lines(figure.axes[0])[label]) == 3


@pytest.mark.parametrize("draw", [learning_curves.draw, pareto.draw])
def test_legends_of_long_labels_stay_on_the_page(section, draw):
    """The fixture's labels are longer than any in the configuration."""
    figure = draw(section, Path()).figure
    with style():
        figure.draw_without_rendering()
        (legend,) = figure.legends
        drawn, page = legend.get_window_extent(), figure.bbox
    assert page.x0 <= drawn.x0 and drawn.x1 <= page.x1


def test_pareto_front_against_all_pairs():
    rng = np.random.default_rng(0)
    points = [tuple(p) for p in rng.integers(0, 8, (30, 2)).astype(float)]
    for higher in (True, False):
        sign = 1 if higher else -1
        undominated = {
            p
            for p in points
            if not any(q != p and q[0] <= p[0] and sign * q[1] >= sign * p[1] for q in points)
        }
        assert set(pareto.pareto_front(points, higher)) == undominated


def test_gains_show_the_intervals_of_the_table(section):
    panel = gains.draw(section, Path()).figure.axes[0]
    expected = [line.scores["top1"].difference for line in section.table.groups[0].lines]
    expected = [(d.low, d.high) for d in expected if d is not None and d.low is not None]
    drawn = [tuple(line.get_xdata()) for line in panel.get_lines() if len(line.get_xdata()) == 2]
    assert set(expected) <= set(drawn)


def test_an_interval_of_trained_models_is_told_from_those_of_mechanisms(runs, images):
    one, two = ([runs.image(row, s, 60) for row in ("max_pool", "linear") for s in range(n)] for n in (1, 2))
    for results, style_of, said in ((one, ":", True), (two, "-", False)):
        plot = gains.draw(Section(make(images, results), results), Path())
        lines = [
            x for x in plot.figure.axes[0].get_lines() if len(x.get_xdata()) == 2 and x.get_linewidth() == 1.5
        ]
        assert {line.get_linestyle() for line in lines} == {style_of}
        assert ("this trained model only" in plot.caption) is said


def test_points_at_one_place_are_all_seen(runs, images):
    """Three mechanisms of equal cost and score: two wider rings, of the two that are drawn first."""
    results = [runs.image(row.id, 0, 60) for row in images.rows]
    for run, top1 in zip(results, (60, 64, 68, 68, 68), strict=True):
        run.metrics["metrics"]["top1"] = top1
    macs = dict(zip([r.id for r in images.rows], (500, 500, 600, 600, 600), strict=True))
    costs = {(images.key(r.group), r.row_id): Cost(3_200_000, macs[r.row_id] * 10**6) for r in results}
    plot = pareto.draw(Section(make(images, results, costs), results), Path())
    rings = [x for x in plot.figure.axes[0].get_lines() if x.get_markerfacecolor() == "none"]
    assert [(tuple(x.get_xdata()), x.get_markersize()) for x in rings] == [((0.6,), 12), ((0.6,), 8)]
    assert "Rings" in plot.caption
    apart = {key: Cost(1, cost.macs * (1 + i)) for i, (key, cost) in enumerate(costs.items())}
    assert "Rings" not in pareto.draw(Section(make(images, results, apart), results), Path()).caption


def test_names_of_models_never_lie_over_each_other():
    points = [
        (0.0, 0.77, 0.0, "a", "Linear"),
        (0.0, 0.78, 0.01, "b", "NLinear"),
        (1e-5, 0.77, 0.0, "c", "DLinear"),
    ]
    points += [(0.0, 1.27, 0.0, "d", "Seasonal naive"), (2.5e-3, 0.68, 0.0, "e", "Informer")]
    with style():
        figure, [[panel]] = panels(1, 1, height=2.8)
        panel.plot([x for x, *_ in points], [y for _, y, *_ in points])
        pareto._name_models(figure, panel, points)
        names = panel.findobj(Annotation)
        boxes = [name.get_window_extent() for name in names]
    assert sorted(", ".join(name.get_text() for name in names).split(", ")) == sorted(p[4] for p in points)
    assert len(names) == 3 and not any(a.overlaps(b) for a, b in combinations(boxes, 2))


def test_errors_by_step_and_variable_are_the_stored_ones(forecasts):
    by_step, by_variable = errors.draw(forecasts, Path()).figure.axes[:2]
    np.testing.assert_allclose(_lines(by_step)["PoPE"], np.linspace(0.1, 1, 24))
    np.testing.assert_allclose(by_variable.get_lines()[0].get_ydata(), np.arange(7.0))


def test_images_have_no_forecast_errors(section):
    assert errors.draw(section, Path()) is None


def test_pdf_has_its_fonts_and_is_the_same_every_time(section, tmp_path):
    plot = gains.draw(section, Path())
    plot.save_pdf(tmp_path / "a.pdf")
    with style():
        gains.draw(section, Path()).save_pdf(tmp_path / "b.pdf")
    content = (tmp_path / "a.pdf").read_bytes()
    assert content == (tmp_path / "b.pdf").read_bytes()
    assert b"/Type3" not in content
    assert b"/FontFile2" in content  # TrueType, embedded


def test_provenance_adds_up_what_was_spent(section):
    found = report.provenance(section.results)
    trained = sum(r.predictions is not None for r in section.results)
    assert found.device_hours == pytest.approx(trained / 2)
    assert (found.devices, found.commits, found.versions) == (
        ("A CPU",),
        ("0123456789ab",),
        ("torch 2.13.0",),
    )
    assert found.when == "2026-01-02 03:00 to 2026-01-02 04:00"


class _Sources(HTMLParser):
    """Everything that a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attributes):
        self.found += [v for k, v in attributes if k in ("src", "srcset", "data") and v]
        self.found += [v for k, v in attributes if k == "href" and tag == "link"]


def test_page_is_self_contained_and_says_what_is_partial(section, forecasts, no_encodings, tmp_path):
    path = report.write([section, forecasts], tmp_path, tmp_path / "no-data")
    page = path.read_text(encoding="utf-8")
    sources = _Sources()
    sources.feed(page)
    assert len(sources.found) > 6
    assert all(source.startswith("data:") for source in sources.found)
    assert "url(" not in page and "@import" not in page
    assert page.count('<img class="lines"') >= 6  # dark on a dark page
    assert "Partial: 26 of 30 runs are done." in page
    assert "keep: weights" in page  # why a figure is not there
    assert "linear &amp; 100 % {#1}" in page  # escaped, not executed
    alone = (tmp_path / "report" / "images.html").read_text(encoding="utf-8")
    assert (
        "linear &amp; 100 % {#1}" in alone and "max-width" in alone
    )  # with its style, but nothing else of the page
    assert "<img" not in alone and "src=" not in alone
    assert {p.name for p in (tmp_path / "figures").iterdir()} >= {"images-gains.pdf", "series-errors.pdf"}


def test_a_study_that_has_not_begun_has_a_report(images, no_encodings, tmp_path):
    path = report.write([Section(make(images, []), [])], tmp_path, tmp_path)
    assert "Partial: 0 of 0 runs are done." in path.read_text(encoding="utf-8")


# Runs when the page has loaded: what is broken, as text in the document that Chromium dumps.
_PROBE = """
<script>
const problems = [];
addEventListener("error", e => problems.push(String(e.message || e.target.outerHTML.slice(0, 80))), true);
addEventListener("load", () => {
  for (const image of document.images)
    if (!image.complete || image.naturalWidth === 0) problems.push("missing picture: " + image.alt);
  if (document.documentElement.scrollWidth > innerWidth) problems.push("wider than the window");
  const table = document.querySelector("table.sortable"), body = table.tBodies[0];
  const headings = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  const column = headings.findIndex((heading, i) => i > 2 && body.rows[1].cells[i].title);
  const values = () => [...body.rows].filter(r => r.cells.length > 1).map(r => r.cells[column].dataset.value);
  const before = values();
  headings[column].click();
  const up = values();
  headings[column].dispatchEvent(new KeyboardEvent("keydown", {key: "Enter"}));
  const down = values();
  const link = [...body.rows].find(r => r.cells.length > 1).cells[0].querySelector("a");
  const hover = [...body.rows].find(r => r.cells.length > 1).cells[column].title;
  link.click();
  setTimeout(() => {
    const place = document.getElementById(link.hash.slice(1));
    const seen = place.closest("details.all").open && place.querySelectorAll("details.run").length;
    const out = document.createElement("pre");
    out.id = "probe";
    out.textContent = JSON.stringify({
      pictures: document.images.length, problems, before, up, down, hover, seen,
      sticky: getComputedStyle(body.rows[1].cells[0]).position, runs: document.querySelectorAll("details.run").length});
    document.body.append(out);
  }, 100);
});
</script>
"""


@pytest.mark.slow
@browser
def test_page_opens_in_a_browser_without_error_or_missing_picture(section, forecasts, tmp_path):
    path = report.write([section, forecasts], tmp_path, tmp_path)
    probed = tmp_path / "probed.html"
    probed.write_text(path.read_text(encoding="utf-8").replace("<head>", "<head>" + _PROBE), encoding="utf-8")
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=20000", "--dump-dom", probed.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    seen = json.loads(html.unescape(found.group(1)))
    numbers = [float(value) for value in seen["before"] if value]
    assert [float(value) for value in seen["up"] if value] == sorted(numbers)
    assert [float(value) for value in seen["down"] if value] == sorted(numbers, reverse=True) != numbers
    assert (
        seen["up"][len(numbers) :] == seen["down"][len(numbers) :] == [""] * (len(seen["up"]) - len(numbers))
    )
    assert seen["seen"] == 3 and seen["runs"] == len(section.results) + len(forecasts.results)
    assert "seed" in seen["hover"] and seen["sticky"] == "sticky"
    assert seen["problems"] == []
    assert seen["pictures"] >= 7


def test_hyphens_in_a_row_s_name_stay_hyphens(runs, images):
    row = Row("timm-a", "timm-a_b", None)
    spec = replace(images, rows=(row,), baseline=None)
    shown = table_html(make(spec, [runs.image("timm-a", 0, 60.0)]))
    assert "timm-a_b" in shown and "\N{MINUS SIGN}a_b" not in shown
