"""The analysis of encodings over distance: numbers that are known, and closed forms."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from favit.analysis import position_similarity as ps
from favit.encodings.sinusoidal import Encoding as Sinusoidal


@pytest.mark.parametrize(("first", "expected"), [(0.0, 0.21), (0.5, 0.905), (0.75, 0.9993)])
def test_far_positions_of_sinusoids_at_512(first: float, expected: float) -> None:
    """Positions 0 and 99: not above 0.999 but over the last quarter of the channels."""
    table = ps.band(Sinusoidal(512).compute(100), first, 1.0)
    r = float(ps.correlation(table)[0, 99])
    assert r == pytest.approx(expected, abs=6e-4 if first == 0.5 else 1e-3 if first == 0 else 5e-5)
    assert (r > ps.CLAIM) == (first == 0.75)


def test_correlation_is_numpys_and_undefined_for_a_constant() -> None:
    table = torch.randn(5, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(ps.correlation(table).numpy(), np.corrcoef(table.numpy()), atol=1e-12)
    table[2] = 0.3
    assert ps.correlation(table)[2].isnan().all() and ps.correlation(table)[0, 1].isfinite()


def test_signs_stay_apart_when_printed_grey() -> None:
    """Every image's colours rise in brightness from -1 to 1 (ITU-R 601, as printers and viewers convert)."""
    images = [i for a in ps.correlation_figure(ps.tables(8, 5)).axes for i in a.get_images()]
    assert len(images) == len(ps.tables(8, 5)) * len(ps.BANDS)
    for image in images:
        grey = image.cmap(image.norm(np.linspace(-1, 1, 21)))[:, :3] @ [0.299, 0.587, 0.114]
        assert (np.diff(grey) > 0.01).all()


def test_lines_stay_apart_when_printed_grey() -> None:
    """No two of a panel have the same colour and dashes."""
    encodings = ps.tables(8, 5)
    bilinear = ps.bilinear_figure(ps.bilinear_rows(encodings, draws=2))
    claim = ps.claim_figure(ps.claim_rows((64, 128, 256, 512, 1024, 2048, 4096), far=9))
    for panel in [*bilinear.axes, *claim.axes]:
        lines = panel.get_lines()
        assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == len(lines)
        assert len({line.get_linestyle() for line in lines}) >= 4


def test_diagonals() -> None:
    matrix = torch.tensor([[1.0, 2.0, 3.0], [9.0, 5.0, 6.0], [9.0, 9.0, 9.0]])
    assert ps.by_distance(matrix).tolist() == [5.0, 4.0, 3.0]


def test_draws_agree_with_their_closed_forms() -> None:
    table = Sinusoidal(16).compute(6)
    rows = ps.bilinear_rows({"sinusoidal": table}, draws=2000)
    assert [row["distance"] for row in rows] == [0, 1, 2, 3, 4, 5]
    for row in rows:
        assert row["rms"] == pytest.approx(row["rms_expected"], rel=0.08)
        assert row["gram"] == pytest.approx(row["gram_expected"], abs=3 * (row["gram_high"] - row["gram"]))
        assert abs(row["mean"]) < 2 * (row["mean_high"] - row["mean"]), (
            "further from zero than two half widths"
        )
    # p_i' p_j of two positions is the sum of the cosines of their angles' differences.
    by_hand = sum(np.cos(3 / 10_000 ** (2 * i / 16)) for i in range(8))
    assert rows[3]["gram_expected"] == pytest.approx(by_hand)


def test_every_encoding_with_position_in_every_choice() -> None:
    found = ps.tables(8, 5)
    assert {"sinusoidal", "learned (untrained)"} <= set(found)
    assert {"legendre (order_along=position)", "legendre (order_along=channel)"} <= set(found)
    assert "legendre (order_along=position, normalise)" in found
    assert not any(label.startswith(("none", "temporal")) for label in found)
    assert all(table.shape == (5, 8) for table in found.values())


def test_where_the_claim_holds_is_said() -> None:
    lines = list(ps.claim_summary(ps.claim_rows((64, 512), far=99)))
    assert (
        lines[1]
        == "sinusoids of dimension 512: 0.211 over all channels, above 0.999 without the first 75 % of the channels"
    )
    near = list(ps.claim_summary([{"dim": 8, "left_out_percent": 0, "distance": 1, "correlation": 0.5}]))
    assert near == ["sinusoids of dimension 8: 0.500 over all channels, nowhere above"]


@pytest.mark.slow
def test_command_writes_figures_and_numbers_twice_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("a", "b"):
        ps.main(["--out", str(tmp_path / folder), "--dim", "16", "--length", "8", "--draws", "3"])
    names = [
        f"encodings-{n}.{kind}"
        for n in ("bilinear", "claim", "correlation")
        for kind in ("csv", "pdf", "png")
    ]
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == names
    assert all((tmp_path / "a" / n).read_bytes() == (tmp_path / "b" / n).read_bytes() for n in names)
    assert all(b"/Type3" not in path.read_bytes() for path in (tmp_path / "a").glob("*.pdf"))
    with (tmp_path / "a" / "encodings-correlation.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6 * len(ps.BANDS) * 8
    assert str(tmp_path / "a" / "encodings-claim.pdf") in capsys.readouterr().out
