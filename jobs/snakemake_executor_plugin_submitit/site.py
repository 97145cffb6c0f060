"""Show what this cluster has, with lines for a profile: `python -m snakemake_executor_plugin_submitit site`."""

from __future__ import annotations

import getpass
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .allocation.clients import NoAnswer, call

TIMEOUT_S = 60


@dataclass(frozen=True)
class Partition:
    """A partition's nodes of one kind."""

    name: str
    default: bool
    limit: str  # as SLURM writes it, days-hours:minutes:seconds
    nodes: int
    cpus: str  # per node
    memory_mb: str  # per node
    gres: str  # such as gpu:a100:4, per node

    @property
    def gpus(self) -> str | None:
        """The first GPU type that a node has, and how many of it, such as `gpu:a100:4`."""
        found = re.search(r"gpu(:[\w.-]+?)?:\d+", self.gres)
        return found.group(0) if found else None


@dataclass(frozen=True)
class Account:
    """An account that the user may charge."""

    account: str
    qos: str
    default: bool


def rows(*command: str) -> list[list[str]]:
    """Return the rows of a SLURM client's output, split at `|`. Raises NoAnswer."""
    return [line.split("|") for line in call(*command, timeout=TIMEOUT_S).splitlines() if line.strip()]


def partitions() -> list[Partition]:
    """Return the cluster's partitions, one entry for each kind of node in each."""
    listed = rows("sinfo", "--noheader", "-o", "%P|%l|%D|%c|%m|%G")
    found = []
    for name, limit, nodes, cpus, memory, gres in (row[:6] for row in listed):
        gres = re.sub(r"\([^)]*\)", "", gres)
        found.append(
            Partition(
                name.rstrip("*"),
                name.endswith("*"),
                limit,
                int(nodes),
                cpus,
                memory,
                "" if gres == "null" else gres,
            )
        )
    return sorted(found, key=lambda p: p.name)


def accounts() -> list[Account]:
    """Return the accounts that this user may charge, the default one first."""
    user = getpass.getuser()
    listed = rows("sacctmgr", "-n", "-P", "show", "assoc", f"user={user}", "format=account,qos")
    default = rows("sacctmgr", "-n", "-P", "show", "user", user, "format=defaultaccount")
    found = {Account(row[0], row[1], default=[row[0]] in default) for row in listed if row[0]}
    return sorted(found, key=lambda a: (not a.default, a.account))


def minutes(limit: str) -> int | None:
    """Return a time as SLURM writes it in minutes, None if it is no limit."""
    found = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", limit)
    if found is None:
        return None
    days, hours, mins, _ = (int(x or 0) for x in found.groups())
    return (days * 24 + hours) * 60 + mins


def describe(profile: Path = Path("slurm")) -> str:
    """Describe the cluster in a few lines, then give lines to paste into a profile."""
    lines = ["Partitions (nodes of one kind each):"]
    listed = partitions()
    for p in listed:
        star = " (default)" if p.default else ""
        lines.append(
            f"  {p.name}{star}: {p.nodes} nodes, {p.cpus} CPUs and {p.memory_mb} MB each"
            f"{', ' + p.gres if p.gres else ''}, time limit {p.limit}"
        )
    try:
        charged = accounts()
        lines.append("Accounts:")
        lines += [f"  {a.account}{f' (qos {a.qos})' if a.qos else ''}" for a in charged] or ["  none"]
    except NoAnswer as trouble:
        charged = []
        lines.append(f"Accounts: unknown ({trouble})")
    return "\n".join([*lines, *compared(listed, profile), "", *profile_lines(listed, charged)])


def compared(listed: list[Partition], profile: Path) -> list[str]:
    """Compare what the profile in this folder asks for, if there is one, with what partitions have."""
    from .fits import profile_requests, too_much

    lines = [
        f"  {who}: {objection}"
        for who, asked in profile_requests(profile).items()
        for objection in too_much(asked, listed)
    ]
    return [f"With {profile} some jobs would never start:", *lines] if lines else []


def limits(reason: str, parameters: Mapping[str, Any]) -> str:
    """Return what the QOS or association allows, in SLURM's words, where `reason` names one. Raises NoAnswer."""
    if reason.startswith("QOS"):
        kind, columns = "QOS", "name,maxwall,maxtrespj,maxtrespu,maxjobspu,grptres,mintres"
        wanted = str(parameters.get("qos") or "")
        found = rows("sacctmgr", "-n", "-P", "show", "qos", f"format={columns}")
    elif reason.startswith("Assoc"):
        kind, columns = "account", "account,maxwall,maxtrespj,maxjobs,grptres,grpjobs"
        wanted = str(parameters.get("account") or "")
        user = f"user={getpass.getuser()}"
        found = rows("sacctmgr", "-n", "-P", "show", "assoc", user, f"format={columns}")
    else:
        return ""
    names = columns.split(",")[1:]
    told = []
    for name, *values in found:
        set_ones = [f"{n} {v}" for n, v in zip(names, values, strict=False) if v]
        if set_ones and wanted in ("", name):
            told.append(f"{kind} {name} allows {', '.join(set_ones)}")
    return "; ".join(told)


def profile_lines(listed: list[Partition], charged: list[Account]) -> list[str]:
    """Lines for `default-resources` in slurm/config.yaml: a partition with GPUs, if there is one, else
    the default one."""
    best = min(listed, key=lambda p: (p.gpus is None, not p.default), default=None)
    lines = ["# For slurm/config.yaml:", "default-resources:"]
    if best is not None:
        lines.append(f"  slurm_partition: {best.name}")
        if (limit := minutes(best.limit)) is not None:
            lines.append(f"  runtime: {min(limit, 24 * 60)}  # minutes; the partition allows {limit}")
        if best.gpus:
            kind = best.gpus.split(":")
            lines.append("  gpu: 1")
            if len(kind) == 3:
                lines.append(f"  gpu_model: {kind[1]}")
    lines += [f"  slurm_account: {a.account}" for a in charged[:1]]
    lines += [f"#  slurm_account: {a.account}" for a in charged[1:]]
    return lines
