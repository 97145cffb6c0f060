"""Compare what jobs ask for with what partitions have, before they wait for ever."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .resources import parameters
from .settings import ExecutorSettings
from .site import Partition, minutes

UNITS = {"": 1, "K": 1 / 1024, "M": 1, "G": 1024, "T": 1024 * 1024}


def megabytes(text: Any) -> float:
    """Return memory as sbatch takes it, such as 200M or 16GB, in megabytes; 0 if it is none."""
    found = re.fullmatch(r"([\d.]+)([KMGT]?)B?", str(text), re.IGNORECASE)
    return float(found[1]) * UNITS[found[2].upper()] if found else 0.0


def number(text: str) -> float:
    """Return a number of sinfo's; `16+` means that some nodes have more, nobody says how much."""
    return float(text) if text.replace(".", "", 1).isdigit() else float("inf")


def gpu_count(gres: str) -> int:
    """Return the GPUs in gres such as gpu:2, gpu:a100:4, gpu:2080ti:4 or gpu."""
    entries = [entry.split(":") for entry in re.sub(r"\([^)]*\)", "", gres).split(",")]
    return sum(int(words[-1]) if words[-1].isdigit() else 1 for words in entries if words[0] == "gpu")


def too_much(asked: Mapping[str, Any], partitions: Sequence[Partition]) -> list[str]:
    """List what no partition of the request has, each with what there is. Unknown names are left to SLURM."""
    names = str(asked["partition"]).split(",") if asked.get("partition") else []
    ours = [p for p in partitions if (p.name in names if names else p.default)]
    if not ours:
        return []
    where = f"partition {','.join(dict.fromkeys(p.name for p in ours))}"
    limits = [minutes(p.limit) for p in ours]
    nodes = {p.name: sum(q.nodes for q in ours if q.name == p.name) for p in ours}
    tasks = int(asked.get("ntasks_per_node") or 1)
    cpus = int(asked.get("cpus_per_task") or 1) * tasks
    memory = megabytes(asked.get("mem")) or megabytes(asked.get("mem_per_cpu")) * cpus
    gpus = int(asked.get("gpus_per_node") or 0) or gpu_count(str(asked.get("gres") or ""))
    longest = float("inf") if None in limits else max(x for x in limits if x is not None)
    compared = (
        ("minutes", float(asked.get("time") or 0), longest, ""),
        ("nodes", float(asked.get("nodes") or 1), float(max(nodes.values())), ""),
        ("CPUs", float(cpus), max(number(p.cpus) for p in ours), " on a node"),
        ("MB", memory, max(number(p.memory_mb) for p in ours), " on a node"),
        ("GPUs", float(gpus), float(max(gpu_count(p.gres) for p in ours)), " on a node"),
    )
    return [
        f"{wanted:.0f} {unit} requested, but {where} has at most {most:.0f}{place}"
        for unit, wanted, most, place in compared
        if wanted > most
    ]


def profile_requests(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what a profile asks for by default and for single rules, by the names of `resources.parameters`."""
    from snakemake.profiles import ProfileConfigFileParser

    path = next((p for p in sorted(folder.glob("config*.yaml"))), None)
    if path is None:
        return {}
    with path.open() as file:
        profile = ProfileConfigFileParser().parse(file)
    own = {
        name.removeprefix("submitit-").replace("-", "_"): value
        for name, value in profile.items()
        if name.startswith("submitit-")
    }
    settings = ExecutorSettings()
    for name in ("time", "cpus", "nodes", "tasks", "gpus"):
        if str(own.get(name, "")).isdigit():
            setattr(settings, name, int(own[name]))
    for name in ("partition", "mem", "gres"):
        if own.get(name):
            setattr(settings, name, str(own[name]))
    default = pairs(profile.get("default-resources"))
    asked = {"by default": default}
    for entry in as_list(profile.get("set-resources")):
        rule, _, rest = entry.partition(":")
        asked.setdefault(f"for rule {rule}", dict(default)).update(pairs([rest]))
    return {who: parameters(plain(given), 1, settings) for who, given in asked.items()}


def as_list(value: Any) -> list[str]:
    """Return a profile's value as the list of its entries."""
    return [str(v) for v in value] if isinstance(value, list) else [str(value)] if value else []


def pairs(entries: Any) -> dict[str, str]:
    """Return key=value entries as a mapping, without the quotes around numbers."""
    return {k: v.strip("'\"") for k, _, v in (entry.partition("=") for entry in as_list(entries))}


def plain(given: Mapping[str, str]) -> dict[str, str]:
    """Leave out what is an expression, known only when a job is: it cannot be compared."""
    numbers = ("runtime", "mem_mb", "mem_mb_per_cpu", "cpus_per_task", "nodes", "tasks", "gpu")
    return {k: v for k, v in given.items() if k not in numbers or v.replace(".", "", 1).isdigit()}
