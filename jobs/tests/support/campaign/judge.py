"""Judge a sweep from what its jobs recorded: which were lost, which doubled, which falsely failed.

lost            at the end its result is not there, or not the right one
doubled         two lives of it at once, or a start after its success
falsely failed  people were told that it failed, or a verdict says so, and nothing had been done to it that
                makes a job fail. Preemptions, lost nodes and the troubles of SLURM itself are no such thing.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

KINDS = ("lost", "doubled", "falsely failed")
MOMENT_S = 1.5  # between a job's success and the moment in which its allocation has noted it
DYING_S = 6.0  # a start that SLURM has ended may run on for so long (KillWait, and a little)


# As the main process prints it, after "message: " of Snakemake's.
TOLD = re.compile(r"^(?:.*\bmessage:)? *(\w+) (?:failed$|could not be submitted)", re.MULTILINE)


@dataclass(frozen=True)
class Harm:
    """Something done to a job that runs. `lasting` makes it fail; else it is only taken from its node."""

    name: str
    time: float
    what: str
    lasting: bool


@dataclass
class Case:
    """All that is known of one job."""

    name: str
    expected: str  # what its result must be
    result: str | None  # what it is
    records: list[dict[str, Any]] = field(default_factory=list)  # its own: start, saved, done, beside
    told: list[float] = field(default_factory=list)  # when people were told that it failed
    verdicts: list[dict[str, Any]] = field(default_factory=list)  # of failure, as its allocations left them
    harms: list[Harm] = field(default_factory=list)


@dataclass(frozen=True)
class Finding:
    """One thing that should not have happened."""

    kind: str
    name: str
    what: str


def told_to_have_failed(text: str) -> list[str]:
    """Return the jobs that people are told have failed, from what the main process prints."""
    return TOLD.findall(text)


def judge(cases: Iterable[Case]) -> list[Finding]:
    """Return everything that went wrong with these jobs."""
    return [finding for case in cases for finding in (*lost(case), *doubled(case), *falsely_failed(case))]


def lost(case: Case) -> list[Finding]:
    """Find out whether the result is missing or wrong."""
    if case.result == case.expected:
        return []
    return [Finding("lost", case.name, "no result" if case.result is None else "a wrong result")]


def doubled(case: Case) -> list[Finding]:
    """Find lives beside each other, and starts after a success."""
    found, done = [], None
    for record in case.records:
        if record["word"] == "beside":
            found.append(Finding("doubled", case.name, f"two lives at once, at {record['time']:.1f}"))
        elif record["word"] == "start" and done is not None:
            if not _killed_around(case, done):
                found.append(Finding("doubled", case.name, f"done at {done:.1f}, started again after"))
        elif record["word"] == "done":
            done = record["time"]
    return found


def _killed_around(case: Case, done: float) -> bool:
    """Return whether the start was ended before its success can have been noted: that is nobody's fault.

    SLURM's SIGTERM goes to the shell around the command as well. It dies of it, and with it the command's
    exit status, even if the command comes to its end.
    """
    return any(done - DYING_S < harm.time < done + MOMENT_S for harm in case.harms)


def falsely_failed(case: Case) -> list[Finding]:
    """Find failures that nothing explains. A failure that is told and has a verdict is one."""
    told = [when for when in case.told if not _explained(case, when)]
    verdicts = [v for v in case.verdicts if not _harmed_within(case, v["started"], v["ended"])]
    found = [Finding("falsely failed", case.name, f"told at {when:.1f}") for when in told]
    for verdict in verdicts[len(told) :]:
        what = f"verdict {verdict['exit_code']} {verdict['reason']}".strip()
        found.append(Finding("falsely failed", case.name, what))
    return found


def _explained(case: Case, when: float) -> bool:
    """Return whether the life before a failure was ended by something that makes a job fail."""
    starts = [r["time"] for r in case.records if r["word"] == "start" and r["time"] < when]
    return bool(starts) and _harmed_within(case, starts[-1], when)


def _harmed_within(case: Case, begin: float, end: float) -> bool:
    return any(harm.lasting and begin <= harm.time <= end + MOMENT_S for harm in case.harms)


def submitted_anew(case: Case) -> int:
    """Return how often the job was started in another allocation without having failed: a cost, no fault."""
    starts = [record for record in case.records if record["word"] == "start"]
    return sum(
        before["task"] != after["task"] and not _harmed_within(case, before["time"], after["time"])
        for before, after in itertools.pairwise(starts)
    )


@dataclass
class Tally:
    """The figures of a campaign."""

    sweeps: int = 0
    jobs: int = 0
    starts: int = 0
    shared: int = 0  # processes that ran several jobs
    anew: int = 0
    told: int = 0  # failures that people were told of; those that nothing explains are findings
    events: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    def add(self, cases: list[Case], events: Mapping[str, int], findings: list[Finding]) -> None:
        """Add what one sweep came to."""
        self.sweeps += 1
        self.jobs += len(cases)
        self.starts += sum(r["word"] == "start" for case in cases for r in case.records)
        of = Counter((r.get("node"), r.get("pid")) for c in cases for r in c.records if r["word"] == "start")
        self.shared += sum(count > 1 for count in of.values())
        self.told += sum(len(case.told) for case in cases)
        self.anew += sum(map(submitted_anew, cases))
        self.events.update(events)
        self.findings += findings

    def counts(self) -> dict[str, int]:
        """Return how often each kind of thing went wrong."""
        found = Counter(finding.kind for finding in self.findings)
        return {kind: found[kind] for kind in KINDS}

    def report(self) -> str:
        """Return the figures for people."""
        rows = [
            f"{self.sweeps} sweeps, {self.jobs} jobs, {self.starts} starts of them",
            f"{self.told} failures told",
            f"{self.anew} starts in another allocation than before, without a failure",
        ]
        rows += [f"{self.shared} processes that ran several jobs"] if self.shared else []
        rows += [f"{self.events.total()} events"]
        rows += [f"  {count:5} {kind}" for kind, count in sorted(self.events.items())]
        rows += [f"{kind}: {count}" for kind, count in self.counts().items()]
        return "\n".join(rows)
