"""Turn a Snakemake job's resources and the profile's settings into the parameters of an allocation.

Resource names are those of Snakemake and of the public SLURM executor, so that rules can move over:

    slurm_partition slurm_account qos clusters constraint exclude slurm_extra
    runtime (minutes) mem_mb mem_mb_per_cpu cpus_per_task nodes tasks gpu gpu_model gres

and some of our own, which never reach SLURM as a request; `{name}` in them is the wildcard of that name:

    job_label    what the job is called in `status` and what its log is named by
    array_label  what the array is called; jobs with different labels go to different arrays
    pack         up to so many jobs of equal resources side by side in one allocation (see packs.py)
    pack_line pack_command   what one warm process is given to run several of them (see allocation/warm.py)
    progress     a glob for files that change when the job gets further (a checkpoint): requeues after
                 which they changed do not count against `submitit-max-requeues`

A command that runs on several tasks starts them itself (`srun torchrun ...`): the allocation runs it
once, on its first node, with MASTER_ADDR and MASTER_PORT set.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError

from .settings import ExecutorSettings
from .units import megabytes

SLURM_RESOURCES = (
    "slurm_partition", "slurm_account", "slurm_extra", "qos", "clusters", "constraint", "exclude",
    "runtime", "mem_mb", "mem_mb_per_cpu", "cpus_per_task", "nodes", "tasks", "gpu", "gpu_model", "gres",
)  # fmt: skip
OWN_RESOURCES = ("job_label", "array_label", "progress", "pack", "pack_line", "pack_command")
# Resources of Snakemake's own that mean nothing to an allocation.
OTHER_RESOURCES = ("mem", "mem_mib", "disk", "disk_mb", "disk_mib", "tmpdir", "threads", "_cores", "_nodes")
# `clusters` (multi-cluster SLURM) is refused rather than ignored: it would change who answers squeue.
GRES = re.compile(r"\w+(:[\w.-]+)?(:\d+)?(,\w+(:[\w.-]+)?(:\d+)?)*")

Parameters = dict[str, Any]

NESTED_MB = 125  # what a nested Snakemake takes beside its job
SMALL_MB = 2000  # requests above leave room for it


def parameters(
    resources: Mapping[str, Any], threads: int, settings: ExecutorSettings, mem_mb_floor: int = 0
) -> Parameters:
    """Return sbatch parameters by submitit's names (`partition`, `time` in minutes, `mem` ...).

    `mem_mb_floor` raises a memory request, after an out-of-memory kill.
    Raises WorkflowError naming the valid resources for one that looks misspelt, or has a wrong value.
    """
    check_names(resources)
    get = Reader(resources)
    found: Parameters = {
        "partition": get.text("slurm_partition", settings.partition),
        "account": get.text("slurm_account", settings.account),
        "qos": get.text("qos", settings.qos),
        "constraint": get.text("constraint", settings.constraint),
        "exclude": get.text("exclude", settings.exclude),
        "time": get.whole("runtime", settings.time),
        "cpus_per_task": get.whole("cpus_per_task", settings.cpus) or max(1, threads),
        "nodes": get.whole("nodes", settings.nodes) or 1,
        "ntasks_per_node": get.whole("tasks", settings.tasks),
        **memory(get, settings, mem_mb_floor),
        **gpus(get, settings),
    }
    extra = settings.extra_options()
    if text := get.text("slurm_extra", None):
        extra |= settings.extra_options(text)
    if extra:
        found["additional_parameters"] = extra
    if setup := settings.setup_lines():
        found["setup"] = setup
    return {name: value for name, value in found.items() if value is not None}


def with_nested(asked: Parameters) -> Parameters:
    """Return the request with what a nested Snakemake takes, where a small one would not leave that to the job."""
    cpus = asked["cpus_per_task"]
    for name, count in (("mem", 1), ("mem_per_cpu", cpus)):
        found = re.fullmatch(r"(\d+)(M|MB)?", str(asked.get(name, "")), re.IGNORECASE)
        if found and 0 < int(found[1]) * count < SMALL_MB:
            return {**asked, name: f"{int(found[1]) + math.ceil(NESTED_MB / count)}M"}
    return asked


def digest(job: Any, settings: ExecutorSettings, code: list[str]) -> str:
    """Return a digest of what the job's first attempt asks of the cluster, and of code that goes with it.

    Later attempts may ask for more, which a new main process, whose attempts count from 1, would take
    for another request.
    """
    attempt = job.attempt
    if attempt > 1:
        job.attempt = 1  # its resources are evaluated anew
    try:
        request: Any = parameters(dict(job.resources.items()), job.threads, settings)
    except WorkflowError as error:
        request = {"error": str(error)}
    finally:
        if attempt > 1:
            job.attempt = attempt
    text = json.dumps([request, code], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def asked(job: Any, workflow: Any, settings: ExecutorSettings) -> dict[str, Any]:
    """Return the job's resources, without Snakemake's default for memory where `submitit-mem` is one.

    Snakemake always has one, an expression that grows with the inputs. It is told from a number among
    `default-resources`, which stands.
    """
    found = dict(job.resources.items())
    if settings.mem and not job.is_group():
        default = workflow.resource_settings._parsed_default_resources.get("mem_mb")
        own = job.rule.resources.get("mem_mb")
        # Each rule has a copy of the defaults, but the expression in it is the same object.
        if default is not None and default.raw is None and own._evaluator is default._evaluator is not None:
            found.pop("mem_mb", None)
    return found


class Reader:
    """Typed access to a job's resources. What is absent or yet to be determined counts as not given."""

    def __init__(self, resources: Mapping[str, Any]) -> None:
        self.resources = resources

    def text(self, name: str, default: str | None) -> str | None:
        """Return a resource as text."""
        value = self.resources.get(name)
        return default if value is None or str(value) in ("", "<TBD>") else str(value)

    def whole(self, name: str, default: int | None) -> int | None:
        """Return a resource as a whole number, rounded up. Raises WorkflowError if it is none."""
        value = self.resources.get(name)
        if value is None or str(value) == "<TBD>":
            return default
        try:
            number = math.ceil(float(value))
        except ValueError:
            number = -1
        if number < 0:
            raise WorkflowError(f"resource {name}={value!r} must be a whole number, 0 or more")
        return number


def memory(get: Reader, settings: ExecutorSettings, floor: int) -> Parameters:
    """Return the request for memory: each CPU's if the rule names one, else the node's. `floor` is of either."""
    per_cpu, per_node = get.whole("mem_mb_per_cpu", None), get.whole("mem_mb", None)
    if per_cpu:
        return {"mem_per_cpu": f"{max(per_cpu, floor)}M"}
    if per_node:
        return {"mem": f"{max(per_node, floor)}M"}
    return {"mem": f"{floor}M" if floor > megabytes(settings.mem) else settings.mem}


def gpus(get: Reader, settings: ExecutorSettings) -> Parameters:
    """Return the request for GPUs, by number or as generic resources."""
    gres, count, model = get.text("gres", None), get.whole("gpu", None), get.text("gpu_model", None)
    if gres is not None and count is not None:
        raise WorkflowError("a rule may set gpu or gres, not both")
    if model is not None and count is None:
        raise WorkflowError("resource gpu_model needs gpu, too: the number of GPUs")
    if count is None and gres is None:
        gres, count = settings.gres, settings.gpus
    if gres is not None:
        if not GRES.fullmatch(gres):
            raise WorkflowError(f"resource gres={gres!r} must look like name:number or name:type:number")
        return {"gres": gres}
    if not count:
        return {}
    return {"gres": f"gpu:{model}:{count}"} if model else {"gpus_per_node": count}


def check_names(resources: Mapping[str, Any]) -> None:
    """Raise WorkflowError for names that look like a misspelling of ours; others are the workflow's own."""
    valid = [*SLURM_RESOURCES, *OWN_RESOURCES]
    for name in resources:
        if name in valid or name in OTHER_RESOURCES:
            continue
        near = difflib.get_close_matches(name, valid, n=1, cutoff=0.85)
        if name.startswith("slurm_") or near:
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise WorkflowError(f"unknown resource {name!r}{hint}; valid: {', '.join(valid)}")
    if resources.get("clusters"):
        raise WorkflowError("remove resource clusters: jobs go to the cluster of SLURM_CONF only")
