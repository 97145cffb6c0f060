"""What stands beside a result as its acceptance, and what happens where it cannot be what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from favit.commands import accept
from favit.disk.files import write_atomic
from favit.identity import snapshot
from favit.results import reasons
from favit.results.state import Results
from favit.sweeps.config import Config
from favit.sweeps.runs import runs
from tests.results.test_state import config, finish, raw_of, states

__all__ = ["config"]


UNREADABLE = {
    "5": "is not a list of acceptances",
    '{"version": 2, "records": []}': "is not a list of acceptances",
    "[1]": "holds 1 that are no acceptances",
    '[{}, {"code": "x"}]': "holds 2 that are no acceptances",
    "": "cannot read",
    "{torn": "cannot read",
    "[" * 100_000: "cannot read",
}


def test_an_unreadable_acceptance_is_none_and_is_explained(config: Config) -> None:
    folder = finish(states(config)[0], code="0" * 16)
    fingerprinter = Results(config).fingerprinter
    for text, why in UNREADABLE.items():
        (folder / "accepted.json").write_text(text)
        state, other = Results(config, fingerprinter).states(runs(config))[:2]
        assert not state.counts
        said = reasons.line(state, fingerprinter)
        assert why in said and str(folder / "accepted.json") in said and said.endswith("repair or move it")
        assert "repair" not in reasons.line(other, fingerprinter)


def test_an_acceptance_beside_a_result_with_other_numbers_says_nothing(config: Config) -> None:
    """As where folders of two machines were put together."""
    folder = finish(states(config)[0], code="0" * 16)
    state = states(config)[0]
    accept.accept(state, accept.candidate(state), Results(config), "ada", "a new name")
    assert states(config)[0].name == "accepted"
    content = json.loads((folder / "metrics.json").read_text())
    write_atomic(folder / "metrics.json", json.dumps({**content, "metrics": {"mse": 0.25, "mae": 0.5}}))
    state = states(config)[0]
    assert state.name == "missing" and "with other numbers" in reasons.reason(
        state, Results(config).fingerprinter
    )
    record = json.loads((folder / "accepted.json").read_text())[0]
    del record["stamp"]  # as it was written before
    write_atomic(folder / "accepted.json", json.dumps([record]))
    assert states(config)[0].name == "accepted"


def test_where_the_code_was_edited_meanwhile_nothing_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], config: Config
) -> None:
    """Its snapshot is not what it was: a line for each run, and the others are still looked at."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(json.dumps(raw_of(tmp_path)))
    results = Results(config)
    for state in states(config)[:2]:
        finish(state, code="0" * 16)
    program, code = (f(runs(config)[0]) for f in (results.fingerprinter.program, results.fingerprinter.code))
    kept = snapshot.keep(program, code, config.results, results.fingerprinter.reader)
    (kept / "favit" / "__init__.py").write_text("x = 1\n")
    assert accept.main(["all", "--why", "a new name"]) == 1
    said = capsys.readouterr().err
    assert said.count("was edited after the snapshot was taken") == 2 and "Traceback" not in said
    assert not any(s.counts for s in states(config))
