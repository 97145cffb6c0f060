"""Contents page. `snakemake -n` says what would run and why; each sweep's name is a target.

    snakemake --profile slurm              all sweeps, on a cluster
    snakemake --profile slurm SWEEP        one of them
    snakemake --cores 2 demo               the demonstration, on this machine
"""


configfile: "config.yaml"


include: "workflow/rules/common.smk"


rule all:
    default_target: True
    input:
        tables_of("all"),


include: "workflow/rules/train.smk"
include: "workflow/rules/stages.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/analysis.smk"
