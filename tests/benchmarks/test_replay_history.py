"""The replay of a history, on a repository of five commits whose numbers are known."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks import replay_history
from benchmarks.history import judging, training
from benchmarks.history.commits import commits_of, lay_out
from benchmarks.history.table import Row, Table
from benchmarks.history.training import Segment, states, wanted

RUN = {"dataset": "csv", "model": "informer", "aggregator": "full", "encoding": "none", "seed": 0}
LOOP = "from favit.train import outcome\n\nRATE = {rate}\n\n\nclass Trainer:\n    def train(self):\n        {body}\n"
FIRST = {
    "favit/__init__.py": "",
    "favit/train/__init__.py": "",
    "favit/train/__main__.py": "from favit.train.loop import Trainer\n",
    "favit/train/loop.py": LOOP.format(rate=1, body="return RATE * 2"),
    "favit/train/device.py": "def configure():\n    pass\n",
    "favit/train/outcome.py": "def say():\n    print('finished')\n",
    "favit/train/forecasting.py": "class Task:\n    pass\n",
    "favit/attention/full.py": "class Attention:\n    pass\n",
    "favit/attention/probsparse.py": "class Attention:\n    pass\n",
    "favit/encodings/none.py": "",
    "favit/models/informer.py": "def build():\n    pass\n",
    "favit/data/csv.py": "TASK = 'forecasting'\n",
}
# What each later commit changes: a message, another run's attention, how the same number comes about, the number.
LATER = (
    {"favit/train/outcome.py": "def say():\n    print('done')\n"},
    {"favit/attention/probsparse.py": "class Attention:\n    factor = 5\n"},
    {"favit/train/loop.py": LOOP.format(rate=1, body="return RATE + RATE")},
    {"favit/train/loop.py": LOOP.format(rate=3, body="return RATE + RATE")},
)


class Trained:
    """Stands in for training: the number is the rate, and the functions executed are those that there are."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def __call__(self, checkout: Path, runs: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        for name in runs:
            self.asked.append((checkout.name, name))
            rate = re.search(r"RATE = (\d)", (checkout / "favit/train/loop.py").read_text())
            assert rate
            yield name, {"weights": rate[1], "executed": ["train.loop:Trainer.train", "train.loop:<module>"]}


def completed(checkout: Path, runs: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Stands in for completing settings."""
    yield from ((name, {"settings": {**run, "lr": 0.1}}) for name, run in runs.items())


def commit(repository: Path, files: Mapping[str, str]) -> None:
    """Write files and commit them."""
    for name, text in files.items():
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text(text)
    subprocess.run(["git", "add", "-A"], cwd=repository, check=True)
    who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run(["git", *who, "commit", "-qm", "x"], cwd=repository, check=True)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], list[Path]]:
    """The commits and their checkouts."""
    folder = tmp_path_factory.mktemp("history")
    repository = folder / "repository"
    repository.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=repository, check=True)
    commit(repository, {"README": "nothing can be trained yet"})
    for files in (FIRST, *LATER):
        commit(repository, files)
    commits = commits_of(repository, "HEAD")
    return commits, [lay_out(repository, c, folder / "checkouts") for c in commits if c != commits[0]]


@pytest.fixture
def replayed(history: tuple[list[str], list[Path]], tmp_path: Path) -> tuple[list[judging.Case], Trained]:
    """All cases after training, and what was trained."""
    (_, *commits), checkouts = history
    table, trained = Table(tmp_path), Trained()
    training.complete(table, commits, checkouts, {"full": RUN}, completed)
    training.fill(table, commits, checkouts, {"full": RUN}, trained, lambda text: None)
    again = Table(tmp_path)  # as the next call reads it
    return list(judging.cases(again, commits, checkouts, {"full": RUN}, tmp_path / "numbers")), trained


def test_each_pair_is_judged_and_held_against_what_training_gave(
    replayed: tuple[list[judging.Case], Trained],
) -> None:
    _, another, refactored, rate = replayed[0]
    assert (another.by_files, another.by_definitions, another.bits) == (False, False, "same")
    assert (refactored.by_files, refactored.by_definitions, refactored.bits) == (True, True, "same")
    assert (rate.by_files, rate.by_definitions, rate.bits) == (True, True, "changed")


def test_a_change_of_the_life_alone_retrains_by_files_and_not_by_definitions(
    replayed: tuple[list[judging.Case], Trained],
) -> None:
    message = replayed[0][0]
    assert (message.by_files, message.by_definitions, message.bits) == (True, False, "same")


def test_the_summary_counts_them(replayed: tuple[list[judging.Case], Trained]) -> None:
    summary = replay_history.summed(replayed[0])
    assert summary.pairs == 4
    assert summary.by_files == Counter(same=2, changed=1)
    assert summary.by_definitions == Counter(same=1, changed=1)
    assert (summary.unproved, summary.misses) == (0, [])
    assert "of 2 that changed nothing, 1 (50%) remain by definitions" in "\n".join(summary.lines())


def test_a_run_whose_bits_changed_unseen_is_a_miss(
    history: tuple[list[str], list[Path]], tmp_path: Path
) -> None:
    (_, *commits), checkouts = history
    table = Table(tmp_path)
    training.complete(table, commits, checkouts, {"full": RUN}, completed)
    for place, weights in ((0, "a"), (1, "b"), (3, "b"), (4, "c")):  # the message changes bits
        table.add(commits[place], "full", {"weights": weights, "executed": []})
    found = list(judging.cases(table, commits, checkouts, {"full": RUN}, tmp_path / "numbers"))
    assert [case.commit for case in replay_history.summed(found).misses] == [commits[1]]


def test_only_what_can_tell_is_trained(replayed: tuple[list[judging.Case], Trained]) -> None:
    places = [name for name, _ in replayed[1].asked]
    assert len(places) == len(set(places)) <= 4, "each segment at most once, and none of the other run's"


def test_what_was_not_executed_is_not_proved(history: tuple[list[str], list[Path]], tmp_path: Path) -> None:
    (_, *commits), checkouts = history
    table = Table(tmp_path)
    training.complete(table, commits, checkouts, {"full": RUN}, completed)
    for place in range(5):
        table.add(commits[place], "full", {"weights": "a", "executed": ["train.loop:<module>"]})
    found = list(judging.cases(table, commits, checkouts, {"full": RUN}, tmp_path / "numbers"))
    assert found[2].not_executed == ("favit.train.loop.Trainer.train",)
    assert found[3].not_executed == (), "a constant is executed with its module"
    assert replay_history.summed(found).unproved == 1


def test_a_new_setting_at_its_neutral_value_retrains_by_files_alone(
    history: tuple[list[str], list[Path]], tmp_path: Path
) -> None:
    (_, *commits), checkouts = history
    table = Table(tmp_path)
    table.settings["full"] = {commits[0]: RUN, commits[2]: {**RUN, "lr_batch": 0}}
    other = list(judging.cases(table, commits, checkouts, {"full": RUN}, tmp_path / "numbers"))[1]
    assert (other.by_files, other.by_definitions, other.bits) == (True, False, "not trained yet")
    table.settings["full"][commits[2]] = {**RUN, "lr_batch": 8}
    assert list(judging.cases(table, commits, checkouts, {"full": RUN}, tmp_path / "numbers"))[
        1
    ].by_definitions


@pytest.mark.parametrize("values", ["aaaaaaaa", "aaaabbbb", "abbbbbbb", "aabbccdd", "abcdefgh"])
def test_the_search_finds_every_change(values: str) -> None:
    own = [Segment(place, RUN, {"m": str(place)}) for place in range(len(values))]
    known: dict[int, Row] = {}
    rounds = 0
    while chosen := wanted(own, lambda s: known.get(s.first)):  # noqa: B023
        assert not set(chosen) & set(known), "nothing is trained twice"
        known |= {i: Row("", "", weights=values[i]) for i in chosen}
        rounds += 1
    assert rounds <= 5
    found = states(own, lambda s: known.get(s.first))
    assert [row.weights if row else None for row in found] == list(values)


def test_commits_at_which_a_run_cannot_be_resolved_are_not_trained() -> None:
    own = [Segment(0, None, {}), Segment(1, RUN, {}), Segment(2, RUN, {"m": "1"})]
    assert wanted(own, lambda s: None) == [1, 2]
    assert wanted(own[:1], lambda s: None) == []


def test_a_run_that_states_other_settings_is_forgotten(
    history: tuple[list[str], list[Path]], tmp_path: Path
) -> None:
    (_, *commits), checkouts = history
    table, both = Table(tmp_path), {"full": RUN, "other": {**RUN, "seed": 1}}
    training.complete(table, commits, checkouts, both, completed)
    training.fill(table, commits, checkouts, both, Trained(), lambda text: None)
    again = Table(tmp_path)
    again.forget_others({**both, "other": {**RUN, "seed": 2}})
    assert {run for _, run in again.rows} == set(again.settings) == {"full"}


def test_a_checkout_that_answers_nothing_is_unknown(
    history: tuple[list[str], list[Path]], tmp_path: Path
) -> None:
    (_, *commits), checkouts = history
    table = Table(tmp_path)
    training.complete(table, commits, checkouts, {"full": RUN}, completed)
    training.fill(table, commits, checkouts, {"full": RUN}, lambda *_: iter(()), lambda text: None)
    found = list(judging.cases(table, commits, checkouts, {"full": RUN}, tmp_path / "numbers"))
    assert found[3].bits == "the checkout cannot be imported"
