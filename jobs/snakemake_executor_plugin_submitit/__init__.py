"""A Snakemake executor that submits jobs through submitit: to SLURM, to this machine, or in the foreground.

Found by Snakemake as `--executor submitit`. `settings.py` says what a profile can set, `resources.py`
what a rule can ask for, `journal.py` how nothing is lost when the main process dies, and `allocation/`
what runs on the nodes.
"""

from snakemake_interface_executor_plugins.settings import CommonSettings

from .executor import Executor
from .settings import ExecutorSettings

__all__ = ["Executor", "ExecutorSettings", "common_settings"]

common_settings = CommonSettings(
    non_local_exec=True,
    implies_no_shared_fs=False,
    job_deploy_sources=False,
    pass_envvar_declarations_to_cmd=True,  # nested commands; plain ones inherit the environment
    auto_deploy_default_storage_provider=False,
    init_seconds_before_status_checks=0,
    pass_group_args=True,
)
