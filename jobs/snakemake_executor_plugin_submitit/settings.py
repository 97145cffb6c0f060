"""The executor's settings: `--submitit-NAME` on the command line, `submitit-NAME` in a profile.

Each resource of an allocation may also come from the rule (see `resources.py`), which then wins.
"""

# ruff: noqa: UP045  (Snakemake reads these annotations at run time and knows Optional[X], not "X | None")
import os
import shlex
from dataclasses import dataclass, field
from typing import Any, Optional

from snakemake_interface_common.exceptions import ApiError, WorkflowError
from snakemake_interface_executor_plugins.settings import ExecutorSettingsBase

CLUSTERS = ("slurm", "local", "debug")
POLL_FLOOR_S = 5.0  # SLURM is never asked more often than this
POLL_FLOOR_VARIABLE = "SNAKEMAKE_SUBMITIT_POLL_SECONDS"  # an administrator's floor, for everybody


# sbatch options that would break what the executor does with them, and why.
OURS = {
    "array": "the executor makes the arrays (submitit-array-parallelism says how many tasks run at once)",
    "clusters": "jobs can only go to the cluster that SLURM_CONF names",
    "wrap": "the executor writes the script",
    "test-only": "nothing would be submitted; `snakemake -n` shows what would be",
    "output": "the executor's logs are in its folder, and a rule's own under `log:`",
    "error": "the executor's logs are in its folder, and a rule's own under `log:`",
    "signal": "submitit-signal-delay-s says when jobs are warned",
}


def option(default: Any, text: str, **metadata: Any) -> Any:
    """Declare a setting with its default and its help text."""
    return field(default=default, metadata={"help": text, "env_var": False, "required": False, **metadata})


@dataclass
class ExecutorSettings(ExecutorSettingsBase):  # type: ignore[misc]  # the interface has no types
    """What a profile can say about allocations, their limits and how they are watched."""

    cluster: str = option(
        "slurm", "Where jobs run: slurm, local (this machine) or debug (one at a time, here)."
    )
    folder: str = option(
        ".snakemake/submitit", "Folder for the journal, logs and job scripts; must be shared."
    )

    partition: Optional[str] = option(None, "Partition(s), where a rule names none (slurm_partition).")
    account: Optional[str] = option(None, "Account, where a rule names none (slurm_account).")
    qos: Optional[str] = option(None, "Quality of service.")
    gpus: Optional[int] = option(None, "GPUs per node, where a rule names none (gpu).")
    gres: Optional[str] = option(None, "Generic resources, such as gpu:a100:1.")
    cpus: Optional[int] = option(None, "CPUs per task; without it a rule's threads.")
    mem: Optional[str] = option(None, "Memory per node, such as 16GB, where a rule names none (mem_mb).")
    time: Optional[int] = option(None, "Time limit in minutes, where a rule names none (runtime).")
    constraint: Optional[str] = option(None, "Node features that a job needs.")
    exclude: Optional[str] = option(None, "Nodes to keep away from.")
    nodes: Optional[int] = option(None, "Nodes of an allocation.")
    tasks: Optional[int] = option(None, "Tasks per node of an allocation.")
    setup: Optional[str] = option(
        None, "Shell lines for the start of each job, such as 'module load cuda'; separate lines by ';;'."
    )
    extra: Optional[str] = option(None, "Further sbatch options, such as '--reservation=course --nice=100'.")

    array_parallelism: int = option(256, "How many tasks of one array may run at once.")
    signal_delay_s: int = option(120, "How long before the time limit a job is warned (SIGUSR2), in seconds.")
    max_requeues: int = option(5, "How many requeues in a row without progress a job may have.")
    requeue_wait: bool = option(False, "Let requeued jobs wait two minutes, as SLURM does when left alone.")
    busy_exit_codes: str = option(
        "",
        "Exit codes, comma-separated, by which a job says that another process does its work: requeued later.",
    )
    memory_factor: float = option(2.0, "How much more memory a retry gets after an out-of-memory kill.")

    poll_s: float = option(
        POLL_FLOOR_S,
        "Shortest time between two questions to SLURM, in seconds; at least 5, or what the administrator "
        f"put into {POLL_FLOOR_VARIABLE}. Between long jobs' changes it grows to a minute.",
    )
    patience_s: float = option(
        900.0, "How long SLURM may refuse to answer a submission before the jobs count as failed, in seconds."
    )
    lease_s: float = option(
        180.0, "When a sweep on another host that shows no sign of life counts as gone, in seconds."
    )
    heartbeat_s: float = option(15.0, "How often a running job shows that it lives, in seconds.")
    keep_running: bool = option(False, "On Ctrl-C leave submitted jobs running; the next start adopts them.")
    keep_days: float = option(
        14.0, "Delete logs and job files of finished jobs after so many days (-1: never)."
    )

    pack: int = option(
        1,
        "Put up to so many jobs of equal resources into one allocation, side by side, where a rule does not say "
        "(pack); each is followed by itself.",
    )
    pack_rounds: int = option(
        4, "How many jobs, one after the other, an allocation of packed jobs asks time for in each place."
    )
    pack_wait_s: float = option(
        5.0, "How long a pack with places left waits for more jobs before it is submitted, in seconds."
    )
    jobs_per_gpu: int = option(
        1, "How many packed jobs share a GPU, and the CPUs and memory that one of them asks for."
    )

    explain_nested: bool = option(
        False,
        "Say for each rule why its jobs need a nested Snakemake (seconds and 125 MB a job), or are not packed.",
    )
    local_cpus: Optional[int] = option(None, "CPUs that local jobs may use together (default: all).")
    local_gpus: Optional[str] = option(
        None, "GPUs that local jobs share, comma-separated (default: CUDA_VISIBLE_DEVICES, else all)."
    )

    def __post_init__(self) -> None:
        try:
            self._check()
        except WorkflowError as error:
            raise ApiError(str(error)) from None  # told in one line, without where it was found

    def _check(self) -> None:
        if self.cluster not in CLUSTERS:
            raise WorkflowError(f"submitit-cluster: {self.cluster!r} is not one of {', '.join(CLUSTERS)}")
        for name in ("array_parallelism", "signal_delay_s", "heartbeat_s", "lease_s", "patience_s",
                     "pack", "pack_rounds", "jobs_per_gpu"):  # fmt: skip
            if getattr(self, name) <= 0:
                raise WorkflowError(f"submitit-{name.replace('_', '-')} must be more than 0")
        if self.memory_factor < 1:
            raise WorkflowError("submitit-memory-factor must be at least 1")
        self.exit_codes_of_busy()
        self.extra_options()

    def exit_codes_of_busy(self) -> list[int]:
        """Return the exit codes that mean that another process does the work."""
        try:
            codes = [int(code) for code in str(self.busy_exit_codes).split(",") if code.strip()]
        except ValueError:
            codes = [0]
        if not all(0 < code < 126 for code in codes):
            raise WorkflowError(
                f"submitit-busy-exit-codes: {self.busy_exit_codes!r} is not a list of numbers from 1 to 125"
            )
        return codes

    def extra_options(self, text: Optional[str] = None) -> dict[str, Any]:
        """Return `--name=value --flag` as sbatch parameters. Raises WorkflowError for anything else."""
        options: dict[str, Any] = {}
        for word in shlex.split(text if text is not None else self.extra or ""):
            name, equals, value = word.removeprefix("--").partition("=")
            if not word.startswith("--") or not name:
                raise WorkflowError(
                    f"sbatch options must be written --name=value or --flag, which {word!r} is not"
                )
            if name in OURS:
                raise WorkflowError(f"sbatch option --{name} cannot be given: {OURS[name]}")
            options[name] = value if equals else True
        return options

    def setup_lines(self) -> list[str]:
        """Return the shell lines that come before each job."""
        return [line.strip() for line in (self.setup or "").split(";;") if line.strip()]

    def poll_floor(self) -> float:
        """Return the seconds that must at least pass between two questions to SLURM."""
        try:
            administrator = float(os.environ.get(POLL_FLOOR_VARIABLE, "0"))
        except ValueError:
            administrator = 0.0
        return max(POLL_FLOOR_S, self.poll_s, administrator)

    def allocation_rules(self, latency_wait_s: float) -> dict[str, Any]:
        """Return what an allocation needs to know of the settings."""
        return {
            "heartbeat_s": self.heartbeat_s,
            "max_requeues": self.max_requeues,
            "busy_exit_codes": self.exit_codes_of_busy(),
            "latency_wait_s": latency_wait_s,
            "signal_delay_s": self.signal_delay_s,
        }


def several_clusters() -> None:
    """Raise WorkflowError if the environment sends sbatch and squeue to clusters that may differ."""
    if os.environ.get("SBATCH_CLUSTERS") or "," in os.environ.get("SLURM_CLUSTERS", ""):
        raise WorkflowError(
            "SBATCH_CLUSTERS, or SLURM_CLUSTERS with several names, is set: jobs would go where squeue does not "
            "look. Unset it; jobs can only go to the cluster that SLURM_CONF names."
        )
