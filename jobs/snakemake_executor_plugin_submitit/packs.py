"""Run jobs of equal resources side by side in one allocation, each with its own log and result.

A batch of packed jobs describes each of them as if it were alone. Only the request to SLURM is a pack's: as many
CPUs, GPUs and as much memory as its members have together, for as long as it takes them in rounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from .allocation import slots
from .allocation.claim import TOMBSTONE, beats, in_line
from .clusters.base import Cluster, NoAnswer, State
from .journal import Batch
from .resources import Reader
from .settings import ExecutorSettings
from .units import megabytes

# sbatch's options that ask for what a pack has to multiply; given past the executor they stand as they are.
NOT_MULTIPLIED = (
    "mem", "mem-per-cpu", "mem-per-gpu", "cpus-per-task", "cpus-per-gpu", "gpus", "gpus-per-node", "gpus-per-task",
    "gres", "nodes", "ntasks", "ntasks-per-node", "time", "licenses",
)  # fmt: skip
MORE_TIME = 1  # minutes, for what members take to start


def wanted(job: Any, settings: ExecutorSettings) -> int:
    """Return how many jobs like this one may share an allocation, as the rule or the profile says."""
    own = None if job.is_group() else Reader(job.resources).whole("pack", None)
    return max(own if own is not None else settings.pack, 1)


def why_not(job: Any, parameters: Mapping[str, Any], settings: ExecutorSettings) -> list[str]:
    """List the reasons for which a job that should be packed gets an allocation of its own."""
    found = []
    if settings.cluster != "slurm":
        found.append("packs are for SLURM; this machine assigns its CPUs and GPUs itself")
    if job.is_group():
        found.append("it is a group of jobs")
    if parameters.get("nodes", 1) * (parameters.get("ntasks_per_node") or 1) > 1:
        found.append("it runs on several nodes or tasks")
    if not parameters.get("time"):
        found.append("it has no runtime")
    if set(gres_of(parameters)) - {"gpu"}:
        found.append(f"it asks for {parameters['gres']}")
    given = {name.replace("_", "-") for name in parameters.get("additional_parameters", {})}
    found += [f"it gives sbatch --{name}" for name in NOT_MULTIPLIED if name in given]
    return found


def describe(job: Any, parameters: Mapping[str, Any], settings: ExecutorSettings) -> dict[str, Any] | None:
    """Return how the job is packed, None if it is not. It goes into the batch's intent.

    `slots` at once, `rounds` of them, `jobs_per_gpu` sharing what one asks for: `cpus`, `gpus`, `memory_mb` (0
    where none is asked for).
    """
    gpus = gres_of(parameters).get("gpu", parameters.get("gpus_per_node", 0))
    sharers = settings.jobs_per_gpu if gpus else 1
    own = None if job.is_group() else Reader(job.resources).whole("pack", None)
    places = 1 if own == 1 else max(wanted(job, settings), sharers)
    if places == 1 or why_not(job, parameters, settings):
        return None
    cpus = parameters["cpus_per_task"]
    memory = megabytes(parameters.get("mem", 0)) or megabytes(parameters.get("mem_per_cpu", 0)) * cpus
    return {
        "slots": places,
        "rounds": settings.pack_rounds,
        "jobs_per_gpu": sharers,
        "cpus": cpus,
        "gpus": gpus,
        "memory_mb": memory,
    }


def gres_of(parameters: Mapping[str, Any]) -> dict[str, int]:
    """Return the generic resources of a request, by name without type."""
    found = {}
    for entry in filter(None, str(parameters.get("gres") or "").split(",")):
        words = entry.split(":")
        found[words[0]] = int(words[-1]) if words[-1].isdigit() else 1
    return found


def shape(batch: Batch, members: int) -> tuple[int, int, int]:
    """Return for so many members: the allocations, the slots of each, and the rounds."""
    assert batch.pack is not None
    return slots.shape(batch.pack, members)


def request(batch: Batch, members: int, longest: int | None) -> dict[str, Any]:
    """Return the parameters of one pack's allocation. `longest`: the partition's time limit in minutes, if known."""
    assert batch.pack is not None
    _, places, rounds = shape(batch, members)
    times = math.ceil(places / batch.pack["jobs_per_gpu"])
    found = dict(batch.parameters)
    found["cpus_per_task"] = batch.pack["cpus"] * times
    if "gpus_per_node" in found:
        found["gpus_per_node"] *= times
    if "gres" in found:
        kind = found["gres"].split(":")
        found["gres"] = ":".join(
            [*(kind[:-1] if kind[-1].isdigit() else kind), str(batch.pack["gpus"] * times)]
        )
    if "mem" in found:
        found["mem"] = f"{megabytes(found['mem']) * times}M"
    alone = found["time"]
    asked = rounds * alone + MORE_TIME
    found["time"] = asked if longest is None else max(alone, min(asked, longest))
    return found


class Leftovers:
    """Cancels packs that wait still when others have run all that was on their list."""

    def __init__(self, cluster: Cluster, say: Callable[[str], None]) -> None:
        self.cluster, self.say = cluster, say
        self._open: dict[str, Batch] = {}

    def look(self, batches: Iterable[Batch]) -> None:
        """`batches` are those of jobs that are not dealt with yet, each as often as it has any."""
        still = {batch.token: batch for batch in batches if batch.pack is not None}
        gone = [batch for token, batch in self._open.items() if token not in still]
        self._open = still
        arrays = [
            array
            for batch in gone
            if len(batch.closed()) == len(batch.tasks)
            for array, those in batch.packs().items()
            if shape(batch, len(those))[0] > 1
        ]
        try:
            self.cluster.cancel_waiting(arrays)
        except NoAnswer as trouble:
            self.say(
                f"Could not cancel packs with nothing left to do; they will end by themselves: {trouble}"
            )


def members(batch: Batch, array: str, those: range, allocations: Mapping[int, State]) -> dict[int, State]:
    """Return how members fare whose allocations (by their place in the array) fare like this.

    A member that is on the list still waits as long as any allocation may come to it; what was handed back waits,
    too. One that was fenced and has stopped counts as cancelled, whatever its allocation does.
    """
    found, ended = {}, batch.verdicts()
    on_the_list = unclaimed(array, list(allocations.values()))
    for index in those:
        if index in ended:
            continue  # its verdict says all
        owner = batch.claimed_by(index)
        if owner is None:
            if on_the_list is not None:
                found[index] = on_the_list
            continue
        if owner == TOMBSTONE:
            found[index] = State("CANCELLED", array)
            continue
        of, _, place = owner.partition("_")
        state = allocations.get(int(place)) if of == array and place.isdigit() else None
        if state is not None:
            found[index] = of_member(batch, index, state)
    return found


def unclaimed(array: str, allocations: list[State]) -> State | None:
    """Return the state of members that no allocation has come to."""
    waiting = next((state for state in allocations if state.name == "PENDING"), None)
    live = next((state for state in allocations if state.live), None)
    if waiting is not None:
        return waiting
    if live is not None:
        return State("PENDING", live.job_id, "", "waits in a pack")
    if not allocations:
        return None
    cancelled = all(state.name == "CANCELLED" for state in allocations)
    names = {state.name for state in allocations}
    # How an allocation ended that had it on its list, where that may be the reason for which it was left.
    ended = next(
        (name for name in ("PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "FAILED") if name in names), "COMPLETED"
    )
    return State("CANCELLED" if cancelled else ended, array)


def of_member(batch: Batch, index: int, allocation: State) -> State:
    """Return the state of a member that the allocation has claimed."""
    alive = beats(batch.path, index)
    if batch.files.fence(index).exists() and not (alive and allocation.live):
        return replace(allocation, name="CANCELLED", reason="")
    if allocation.name == "RUNNING" and (not alive or in_line(batch.path, index)):
        return replace(allocation, name="PENDING", reason="waits in a pack", elapsed="")
    return allocation
