# Tables. One that is today's is a plain existing file; one that is not waits for the sweep's missing runs, and
# for a note that it is out of date, which is always newer than the table.

import time

OUTDATED = [
    name
    for name, sweep in SETUP.sweeps.items()
    if runs_to_train(name) or not tabulate.is_current(SETUP, sweep, TODAY[name])
]


def awaited(wildcards):
    """A sweep's missing runs. Where a table exists they would not be made for its sake alone: the note sees to it."""
    table = Path(tables_of(wildcards.sweep)[0])
    return [*runs_to_train(wildcards.sweep), *([outdated(wildcards.sweep, table)] if table.exists() else [])]


def outdated(sweep, table):
    """Write a note that the table is not today's, newer than the table whatever the clocks say.

    Never the same text twice: Snakemake takes a newer file of known content for unchanged.
    """
    path = note(f"outdated/{sweep}.txt", f"{table} is not the table of {TODAY[sweep]}: {time.time_ns()}\n")
    late = max(path.stat().st_mtime, table.stat().st_mtime + 1)
    os.utime(path, (late, late))
    return str(path)


localrules:
    table,
    tables,


rule table:
    output:
        multiext(f"{tabulate.folder(SETUP)}/{{sweep}}", ".csv", ".tex", ".md"),
    input:
        awaited,
    wildcard_constraints:
        sweep=alternatives(OUTDATED),
    message:
        "Table of {wildcards.sweep}"
    params:
        python=sys.executable,
        config=str(CONFIG_FILE),
    shell:
        "{params.python:q} -m favit.tabulate {wildcards.sweep} --config {params.config:q}"


# Whatever is there now, marked as partial where runs are missing.
rule tables:
    params:
        python=sys.executable,
        sweeps=" ".join(SETUP.sweeps),
        config=str(CONFIG_FILE),
    shell:
        "{params.python:q} -m favit.tabulate {params.sweeps} --config {params.config:q}"


# A target a sweep, and a group.
for _name in [*SETUP.sweeps, *SETUP.groups]:

    rule:
        name:
            _name
        input:
            tables_of(_name),
