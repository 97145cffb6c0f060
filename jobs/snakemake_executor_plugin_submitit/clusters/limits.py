"""Limits of association and QOS on the jobs of a user in the queue.

The controller tells its limits with what counts against them, other sweeps' jobs included:

    ClusterName=c Account=lab UserName=ann(1000) Partition= Priority=0 ID=5
        ParentAccount= Lft=3 DefAssoc=Yes
        GrpSubmitJobs=N(3) GrpWall=N(0.00)
        MaxJobs= MaxJobsAccrue= MaxSubmitJobs=20(3) MaxWallPJ=
    QOS=normal(1)
        GrpJobs=N(0) GrpJobsAccrue=N(0) GrpSubmitJobs=N(0) GrpWall=N(0.00)
        Account Limits
          lab
            MaxJobsPA=N(0) MaxJobsAccruePA=N(0) MaxSubmitJobsPA=6(6)
        User Limits
          1000
            MaxJobsPU=N(0) MaxJobsAccruePU=N(0) MaxSubmitJobsPU=5(4)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

LIMIT = re.compile(r"\b(\w*SubmitJobs\w*)=(\d+)\((\d+)\)")


@dataclass(frozen=True)
class Allowance:
    """How many jobs a limit allows in the queue, and how many count against it already."""

    name: str
    limit: int
    used: int

    @property
    def room(self) -> int:
        """Return how many more it allows."""
        return max(0, self.limit - self.used)


@dataclass
class Association:
    """An account's row, or a user's in it."""

    account: str
    user: str
    partition: str
    parent: str = ""
    default: bool = False
    limits: list[Allowance] = field(default_factory=list)


def found_in(line: str) -> list[Allowance]:
    """Return the limits on submitted jobs in one line; one that is not set shows as N or empty."""
    return [Allowance(name, int(limit), int(used)) for name, limit, used in LIMIT.findall(line)]


def associations(text: str) -> list[Association]:
    """Return the associations in the answer of `scontrol show assoc_mgr`."""
    found: list[Association] = []
    for line in text.partition("QOS Records")[0].splitlines():
        if head := re.match(r"ClusterName=\S* Account=(\S*) UserName=([^(\s]*)\S* Partition=(\S*)", line):
            found.append(Association(head[1], head[2], head[3]))
        elif found:
            one = found[-1]
            one.limits += found_in(line)
            if parent := re.search(r"ParentAccount=([^(\s]*)\S* .*DefAssoc=(\w+)", line):
                one.parent, one.default = parent.group(1), parent.group(2) == "Yes"
    return found


def of_association(text: str, user: str, parameters: Mapping[str, Any]) -> Iterator[Allowance]:
    """Find the limits of the user's association and of the accounts above it."""
    rows = associations(text)
    own = [a for a in rows if a.user == user]
    account = parameters.get("account") or next((a.account for a in own if a.default), "")
    partitions = ["", *str(parameters.get("partition", "")).split(",")]
    for row in own:
        if row.account == account and row.partition in partitions:
            yield from row.limits
    accounts = {a.account: a for a in rows if not a.user}
    while above := accounts.pop(account, None):
        yield from above.limits
        account = above.parent


def of_qos(text: str, users: tuple[str, ...], parameters: Mapping[str, Any]) -> Iterator[Allowance]:
    """Find the limits of the request's QOS; where it names none, of every one that the user has jobs in."""
    name, section, key = "", "", ""
    for line in text.partition("QOS Records")[2].splitlines():
        if head := re.match(r"QOS=(.+)\(\d+\)$", line):
            name, section, key = head.group(1), "group", ""
        elif line.strip() in ("Account Limits", "User Limits"):
            section, key = line.split()[0].lower(), ""
        elif "=" not in line:
            key = line.strip()
        elif parameters.get("qos") in (None, name):
            named = re.sub(r"\(\d+\)$", "", key)
            account = parameters.get("account")
            if section == "account" and account not in (None, named):
                continue
            if section == "user" and not {named, key, *re.findall(r"\d+", key)} & set(users):
                continue
            yield from found_in(line)


def tightest(found: Iterable[Allowance]) -> Allowance | None:
    """Return the limit that leaves least room, None if there is none."""
    return min(found, key=lambda a: (a.room, a.limit), default=None)


def of_qos_table(text: str, parameters: Mapping[str, Any]) -> Iterator[Allowance]:
    """Read `sacctmgr show qos format=name,maxsubmitjobspu,maxsubmitjobspa,grpsubmitjobs`, where nobody has jobs yet."""
    for line in text.splitlines():
        name, *limits = line.split("|")
        if parameters.get("qos") in (None, name):
            yield from (Allowance(name, int(limit), 0) for limit in limits if limit.isdigit())
