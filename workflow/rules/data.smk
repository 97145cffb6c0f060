# `snakemake data` fetches what the sweeps need from its official places, checked against known digests;
# `snakemake prepare` then packs what consists of very many files (ImageNet, which has to be downloaded by hand).


from favit.components.literals import literals


localrules:
    data,


DATASETS = sorted({state.run["dataset"] for state in STATES.values()})


def by_hand(name):
    """Whether a data set has files and no place to fetch them from."""
    facts = literals("data", name)
    return "FILES" in facts and "SOURCES" not in facts


rule data:
    """Fetch the data sets of all sweeps from their official places; needs a network."""
    params:
        python=sys.executable,
        names=" ".join(name for name in DATASETS if not by_hand(name)),
        root=str(SETUP.data),
    shell:
        "{params.python:q} -m favit.fetch --data {params.root:q} {params.names}"


# No output is declared: Snakemake would delete the index before a rerun, but the command resumes by itself.
rule prepare:
    """Check and pack data sets of very many files, such as ImageNet, which are downloaded by hand."""
    threads: config.get("resources", {}).get("cpus", 1)
    resources:
        mem_mb=config.get("resources", {}).get("mem_mb", 4000),
        runtime=config.get("resources", {}).get("runtime", 60),
    params:
        python=sys.executable,
        names=" ".join(DATASETS),
        root=str(SETUP.data),
    shell:
        "{params.python:q} -m favit.prepare --data {params.root:q} --workers {threads} {params.names}"
