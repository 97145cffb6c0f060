# `snakemake data` fetches what the sweeps need from its official places, checked against known digests.


localrules:
    data,


rule data:
    params:
        python=sys.executable,
        names=" ".join(sorted({state.run["dataset"] for state in STATES.values()})),
        root=str(SETUP.data),
    shell:
        "{params.python:q} -m favit.fetch --data {params.root:q} {params.names}"
