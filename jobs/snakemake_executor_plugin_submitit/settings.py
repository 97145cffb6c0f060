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
    "array": "the executor makes the arrays; set submitit-array-parallelism to limit the tasks that run at once",
    "clusters": "jobs go to the cluster of SLURM_CONF only",
    "wrap": "the executor writes the script",
    "test-only": "nothing would be submitted; use `snakemake -n` for a dry run",
    "output": "the executor's logs are in its folder, and a rule's own under `log:`",
    "error": "the executor's logs are in its folder, and a rule's own under `log:`",
    "signal": "the executor sends the signal; set submitit-signal-delay-s",
}


def option(default: Any, text: str, **metadata: Any) -> Any:
    """Declare a setting with its default and its help text."""
    return field(default=default, metadata={"help": text, "env_var": False, "required": False, **metadata})


@dataclass
class ExecutorSettings(ExecutorSettingsBase):  # type: ignore[misc]  # the interface has no types
    """Settings of the executor: allocations, their limits, and how they are watched."""

    cluster: str = option(
        "slurm", "Where jobs run: slurm, local (this machine) or debug (one at a time, here)."
    )
    folder: str = option(
        ".snakemake/submitit", "Folder for the journal, logs and job scripts; must be shared."
    )

    partition: Optional[str] = option(None, "Partition(s) of rules without slurm_partition.")
    account: Optional[str] = option(None, "Account of rules without slurm_account.")
    qos: Optional[str] = option(None, "Quality of service.")
    gpus: Optional[int] = option(None, "GPUs per node, for rules without gpu.")
    gres: Optional[str] = option(None, "Generic resources, such as gpu:a100:1.")
    cpus: Optional[int] = option(None, "CPUs per task (default: threads of the rule).")
    mem: Optional[str] = option(None, "Memory per node, such as 16GB, for rules without mem_mb.")
    time: Optional[int] = option(None, "Time limit in minutes, for rules without runtime.")
    constraint: Optional[str] = option(None, "Node features that jobs need.")
    exclude: Optional[str] = option(None, "Nodes to exclude.")
    nodes: Optional[int] = option(None, "Nodes per allocation.")
    tasks: Optional[int] = option(None, "Tasks per node.")
    setup: Optional[str] = option(
        None, "Shell lines to run before each job, such as 'module load cuda'; separate lines by ';;'."
    )
    extra: Optional[str] = option(None, "Further sbatch options, such as '--reservation=course --nice=100'.")

    array_parallelism: int = option(256, "Tasks of one array that may run at once.")
    signal_delay_s: int = option(120, "Seconds before the time limit at which a job is warned (SIGUSR2).")
    max_requeues: int = option(5, "Requeues in a row without progress after which a job fails.")
    requeue_wait: bool = option(
        False, "Let requeued jobs wait two minutes, as SLURM does by default, instead of starting at once."
    )
    busy_exit_codes: str = option(
        "",
        "Exit codes, comma-separated, that mean that another process does the job's work: it is requeued.",
    )
    memory_factor: float = option(
        2.0, "Factor by which memory grows for a retry after an out-of-memory kill."
    )

    poll_s: float = option(
        POLL_FLOOR_S,
        "Shortest time between two queries of SLURM, in seconds; at least 5, or what the administrator "
        f"set in {POLL_FLOOR_VARIABLE}. While nothing changes it grows to a minute.",
    )
    patience_s: float = option(900.0, "Seconds after which jobs fail if SLURM answers no submission.")
    lease_s: float = option(
        180.0, "Seconds without a sign of life after which a sweep on another host counts as dead."
    )
    heartbeat_s: float = option(15.0, "Seconds between signs of life of a running job.")
    keep_running: bool = option(
        False, "On Ctrl-C leave submitted jobs running; the next start takes them over."
    )
    keep_days: float = option(
        14.0, "Days after which logs and job files of finished jobs are deleted (-1: never)."
    )

    pack: int = option(
        1,
        "Jobs of equal resources to run side by side in one allocation, for rules without pack; "
        "each still succeeds or fails by itself.",
    )
    pack_rounds: int = option(
        4,
        "Packed jobs to run one after another in each place of an allocation, which asks for the time of all.",
    )
    pack_wait_s: float = option(
        5.0, "Seconds for which an incomplete pack waits for more jobs before it is submitted."
    )
    jobs_per_gpu: int = option(
        1, "Packed jobs that share a GPU, and the CPUs and memory that one of them asks for."
    )

    explain_nested: bool = option(
        False,
        "Explain for each rule why its jobs need a nested Snakemake (seconds and 125 MB per job), or are not packed.",
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
                f"submitit-busy-exit-codes: give numbers from 1 to 125, such as 3,4, not {self.busy_exit_codes!r}"
            )
        return codes

    def extra_options(self, text: Optional[str] = None) -> dict[str, Any]:
        """Return `--name=value --flag` as sbatch parameters. Raises WorkflowError for anything else."""
        options: dict[str, Any] = {}
        for word in shlex.split(text if text is not None else self.extra or ""):
            name, equals, value = word.removeprefix("--").partition("=")
            if not word.startswith("--") or not name:
                raise WorkflowError(f"cannot read the sbatch option {word!r}; write --name=value or --flag")
            if name in OURS:
                raise WorkflowError(f"remove the sbatch option --{name}: {OURS[name]}")
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
            "SBATCH_CLUSTERS, or SLURM_CLUSTERS with several names, is set: squeue would not see the jobs. "
            "Unset it; jobs go to the cluster of SLURM_CONF only."
        )
