# Tables. One that is today's is a plain existing file that no rule makes; any other is made whatever stands there,
# after the sweep's missing runs.

@functools.cache
def outdated(sweep):
    """Whether a sweep's table was not that of today when this process began."""
    return bool(runs_to_train(sweep)) or not made_tables.table_is_current(SETUP, sweep, today(sweep))


# Of sweeps whose results decide that is known where they are asked for: one that is today's then waits for a file that
# cannot exist, so that Snakemake takes the table for a plain file.
MAY_BE_OUTDATED = [name for name in SETUP.sweeps if name in STAGED or outdated(name)]


def awaited(wildcards):
    """A sweep's missing runs. The table is made anew, else they would not be trained for the sake of one that is there."""
    if not outdated(wildcards.sweep):
        return f"{made_tables.folder(SETUP)}/not-to-be-made--{wildcards.sweep}-is-todays"
    make_anew(made_tables.files(SETUP, wildcards.sweep))
    if wildcards.sweep in STAGED:
        return awaited_in_stages(wildcards.sweep)
    return runs_to_train(wildcards.sweep)


localrules:
    table,
    tables,


rule table:
    output:
        multiext(f"{made_tables.folder(SETUP)}/{{sweep}}", *made_tables.SUFFIXES),
    input:
        awaited,
    wildcard_constraints:
        sweep="|".join(MAY_BE_OUTDATED) or "(?!)",
    message:
        "Table of {wildcards.sweep}"
    params:
        python=sys.executable,
        config=str(CONFIG_FILE),
    shell:
        "{params.python:q} -m favit tabulate {wildcards.sweep} --config {params.config:q}"


# Whatever is there now, marked as partial where runs are missing.
rule tables:
    """Make all tables from the results that are there; train nothing."""
    params:
        python=sys.executable,
        sweeps=" ".join(SETUP.sweeps),
        config=str(CONFIG_FILE),
    shell:
        "{params.python:q} -m favit tabulate {params.sweeps} --config {params.config:q}"


# A target a sweep, and a group.
for _name in [*SETUP.sweeps, *SETUP.groups]:

    rule:
        name:
            _name
        input:
            tables_of(_name),
