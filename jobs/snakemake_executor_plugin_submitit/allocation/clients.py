"""Run SLURM's client programs. Nothing else calls sbatch, squeue, scontrol and the like."""

from __future__ import annotations

import os
import subprocess

MAIN_VARIABLE = "SNAKEMAKE_SUBMITIT_MAIN"  # names the folder of the job that Snakemake itself runs as
# What would make a client show, cancel or wait for something else than it is asked for; a user's habits are not ours.
HABITS = ("SQUEUE_", "SACCT_", "SCANCEL_", "SINFO_", "SCONTROL_", "SBATCH_WAIT")
# Where the clients find their cluster; everything else of SLURM's in the environment is an allocation's.
KEPT = ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS", "SLURM_TIME_FORMAT", "SLURM_JWT")


class NoAnswer(Exception):
    """The cluster did not answer, or not sensibly. Asking again later may help."""


def call(*command: str, timeout: float) -> str:
    """Run a SLURM client and return its output. Raises NoAnswer with what went wrong."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",  # another job's path, for example, may be no text
            timeout=timeout,
            check=False,
            env=clean_environment(),
            start_new_session=True,  # Ctrl-C is for us: a submission underway must come to its end
        )
    except FileNotFoundError as error:
        raise NoAnswer(f"{command[0]} is not on PATH") from error
    except OSError as error:
        raise NoAnswer(f"{command[0]} could not be run: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise NoAnswer(f"{command[0]} did not answer within {timeout:.0f} s") from error
    if done.returncode:
        raise NoAnswer(done.stderr.strip() or f"{command[0]} ended with status {done.returncode}")
    return done.stdout


def clean_environment() -> dict[str, str]:
    """Return this process's environment without the traces of an allocation that it may run in.

    Jobs submitted from inside an allocation would inherit its limits.
    """
    dropped = ("SLURM_", "SLURMD_", MAIN_VARIABLE, *HABITS)
    return {k: v for k, v in os.environ.items() if not k.startswith(dropped) or k in KEPT}
