# Tables. One that is today's is a plain existing file; one that is not waits for the sweep's missing runs, or
# for a note that it is out of date, which is always newer than the table.

from favit.files import write_atomic

TODAY = {
    name: tabulate.digest(sweep, CELLS[name], RESULTS, STATES)
    for name, sweep in SETUP.sweeps.items()
}
OUTDATED = [
    name
    for name, sweep in SETUP.sweeps.items()
    if runs_to_train(name) or not tabulate.is_current(SETUP, sweep, TODAY[name])
]


def awaited(wildcards):
    missing = runs_to_train(wildcards.sweep)
    if missing or not Path(tables_of(wildcards.sweep)[0]).exists():
        return missing
    note = RESULTS.root / ".cache" / "outdated" / f"{wildcards.sweep}.txt"
    write_atomic(note, f"The table is not that of {TODAY[wildcards.sweep]}.\n")
    return str(note)


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
    shell:
        "{params.python:q} -m favit.tabulate {wildcards.sweep}"


# Whatever is there now, marked as partial where runs are missing.
rule tables:
    params:
        python=sys.executable,
        sweeps=" ".join(SETUP.sweeps),
    shell:
        "{params.python:q} -m favit.tabulate {params.sweeps}"


# A target a sweep, and a group.
for _name in [*SETUP.sweeps, *SETUP.groups]:

    rule:
        name:
            _name
        input:
            tables_of(_name),
