"""The workflow. `snakemake -n` shows what would run and why; the name of each sweep is a target.

Put targets first and options after them: -q, --config and others take every word that follows.

    snakemake --profile slurm              all sweeps, on a cluster
    snakemake --profile slurm SWEEP        one of them
    snakemake --cores 2 demo               the demonstration, on this machine
"""


import sys
from pathlib import Path

# Snakemake's own error for invalid YAML names neither the file nor the line.
sys.path.insert(0, workflow.basedir)  # this checkout's code, whatever is installed
from favit.sweeps.config import ConfigError, read

try:
    if Path("config.yaml").is_file():
        read("config.yaml")
except ConfigError as error:
    sys.exit(str(error))


configfile: "config.yaml"


include: "workflow/rules/common.smk"


rule all:
    """Train and tabulate every sweep that does not say `all: false`; what is made when no target is given."""
    default_target: True
    input:
        tables_of("all"),


include: "workflow/rules/train.smk"
include: "workflow/rules/stages.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/analysis.smk"
include: "workflow/rules/targets.smk"
