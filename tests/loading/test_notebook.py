"""The notebook of the documentation, cell by cell, on a made-up study."""

from __future__ import annotations

import matplotlib
import nbformat
import pytest

from favit.identity.closure import ROOT
from tests.loading.made_up import study

NOTEBOOK = ROOT / "docs" / "everyday.ipynb"


@pytest.mark.slow
def test_every_cell_runs(tmp_path, monkeypatch):
    study(tmp_path, groups={"demo": ["series", "images"]})
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    book = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(book)
    names: dict[str, object] = {}
    cells = [cell.source for cell in book.cells if cell.cell_type == "code"]
    assert len(cells) > 5
    for cell in cells:
        exec(compile(cell, str(NOTEBOOK), "exec"), names)
    assert len(names["results"]) == 4 and set(names["curves"].columns) == {"max_pool", "probsparse"}
    assert not any(cell.get("outputs") for cell in book.cells), "outputs are not kept: they would grow stale"
