"""What happens to a sweep. Each event returns whether it could take place."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from functools import partial

from snakemake_executor_plugin_submitit.allocation import processes

from .clients import draw_trouble
from .stage import Living, Stage


def kill_main(stage: Stage) -> bool:
    """`kill -9` of the main process; the round starts the same command again."""
    if not stage.main_lives():
        return False
    stage.kill_main()
    return True


def kill_command(stage: Stage) -> bool:
    """The command dies of SIGKILL, as at the hands of the kernel: it has failed."""
    if (job := draw_job(stage)) is None:
        return False
    kill(job.pid, signal.SIGSTOP)  # a warm process may have come to another one meanwhile
    for one in stage.living():
        if one.pid == job.pid:
            stage.harm(one, "its command was killed", lasting=True)
    kill(job.pid)
    return True


def kill_task(stage: Stage) -> bool:
    """All of a task dies at once, so that nobody is left to say how it ended."""
    if (job := draw_job(stage)) is None:
        return False
    wrapper = job.pid
    while (above := processes.parent(wrapper)) and b"slurmstepd" not in processes.arguments(above)[:1][0]:
        wrapper = above
    everything = processes.descendants(wrapper)
    for pid in everything:  # stopped first: nobody sees the others go, or goes on to another job
        kill(pid, signal.SIGSTOP)
    for one in stage.sharers(job):
        stage.harm(one, "its task was killed", lasting=True)
    for pid in everything:
        kill(pid)
    return True


def cancel_task(stage: Stage) -> bool:
    """Somebody cancels a task; of a pack one member, by its name."""
    if (job := draw_job(stage)) is None:
        return False
    stage.harm(job, "it was cancelled", lasting=True)
    if stage.pack > 1:
        return stage.cancel_by_name(job)
    return stage.client("scancel", job.task) is not None


def requeue_task(stage: Stage) -> bool:
    """An administrator requeues a task."""
    job = draw_job(stage)
    return job is not None and stage.client("scontrol", "requeue", job.task) is not None


def warn_task(stage: Stage, signum: str) -> bool:
    """A task gets the signal that announces its end, and the end does not come."""
    if (job := draw_job(stage)) is None:
        return False
    for one in stage.sharers(job):
        stage.harm(one, f"it got SIG{signum}", lasting=False)
    return stage.client("scancel", "--batch", f"--signal={signum}", job.task) is not None


def preempt(stage: Stage) -> bool:
    """A job of higher priority takes a node: what runs there is requeued or cancelled, as its partition has it."""
    if stage.down("slurmctld"):
        return False
    before = stage.client("squeue", "--noheader", "--name=preemptor", "-o", "%i")
    if before is None or len(before.split()) > 1:  # else they would have the nodes for themselves
        return False
    seconds = stage.draw.uniform(0.2, 2.0)
    script = ("--wrap", f"sleep {seconds:.1f}")
    node = stage.draw.choice(("node1", "node2"))
    options = ("-p", "high", "-w", node, "--exclusive", "-t", "1", "-J", "preemptor", "-o", "/dev/null")
    return stage.client("sbatch", *options, *script) is not None


def lose_node(stage: Stage) -> bool:
    """A node loses power: its daemon and its jobs are gone."""
    if (node := draw_node(stage)) is None:
        return False
    for job in stage.living():
        if job.node == node:
            stage.harm(job, "its node lost power", lasting=False)
    stage.take_down(node, lambda: stage.cluster.crash(node), stage.draw.uniform(0.5, 14))
    return True


def lose_contact(stage: Stage) -> bool:
    """A node's daemon dies and its jobs live on, for a while unknown to SLURM."""
    if (node := draw_node(stage)) is None:
        return False
    stage.take_down(node, lambda: stage.cluster.stop(node, signal.SIGKILL), stage.draw.uniform(0.5, 14))
    return True


def stop_controller(stage: Stage, signum: signal.Signals) -> bool:
    return stop(stage, "slurmctld", signum, stage.draw.uniform(0.5, 7))


def stop_accounting(stage: Stage) -> bool:
    return stop(stage, "slurmdbd", signal.SIGKILL, stage.draw.uniform(1, 15))


def stop(stage: Stage, daemon: str, signum: signal.Signals, seconds: float) -> bool:
    if stage.down(daemon):
        return False
    stage.take_down(daemon, lambda: stage.cluster.stop(daemon, signum), seconds)
    return True


def rewrite_comments(stage: Stage) -> bool:
    """A site's plugin, or an administrator, writes comments of its own."""
    ids = stage.arrays()[-3:]
    if not ids or stage.down("slurmctld"):
        return False
    done = [stage.client("scontrol", "update", f"JobId={job}", "comment=billed to the lab") for job in ids]
    return any(answer is not None for answer in done)


def fail_client(stage: Stage) -> bool:
    """The next calls of a client fail, hang, or are carried out without an answer."""
    tool, way, seconds, count = draw_trouble(stage.draw)
    for _ in range(count):
        stage.clients.order(tool, way, seconds)
    stage.note(f"{count} x {tool} will {way} ({seconds} s)")
    return True


# Name -> (how likely, what happens)
EVENTS: dict[str, tuple[int, Callable[[Stage], bool]]] = {
    "main process killed": (4, kill_main),
    "command killed": (5, kill_command),
    "task killed": (5, kill_task),
    "task cancelled": (3, cancel_task),
    "task requeued by hand": (7, requeue_task),
    "task warned (SIGUSR2)": (5, partial(warn_task, signum="USR2")),
    "task sent SIGTERM": (3, partial(warn_task, signum="TERM")),
    "preemption of a node's jobs": (14, preempt),
    "node lost": (5, lose_node),
    "node's daemon killed": (4, lose_contact),
    "controller ended": (2, partial(stop_controller, signum=signal.SIGTERM)),
    "controller killed": (2, partial(stop_controller, signum=signal.SIGKILL)),
    "accounting killed": (3, stop_accounting),
    "comments rewritten": (8, rewrite_comments),
    "client troubled": (10, fail_client),
}


def happen(stage: Stage) -> bool:
    """Let one event happen. Return whether it could take place."""
    name = stage.draw.choices(list(EVENTS), [weight for weight, _ in EVENTS.values()])[0]
    if not EVENTS[name][1](stage):
        return False
    stage.note(name)
    stage.events[name] += 1
    return True


def draw_job(stage: Stage) -> Living | None:
    living = stage.living()
    return stage.draw.choice(living) if living else None


def draw_node(stage: Stage) -> str | None:
    """Return a node that is up, None if the other one is down."""
    nodes = ("node1", "node2")
    return None if any(map(stage.down, nodes)) else stage.draw.choice(nodes)


def kill(pid: int, signum: int = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signum)
