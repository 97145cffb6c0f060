# Analyses, each a target of its own: a figure and its numbers under results/analysis, made anew when their
# code or the results that they read change. No table needs them.

import functools

from favit.components import registry
from favit.components.literals import families
from favit.results.made import is_current

ANALYSES = RESULTS.root / made_tables.ANALYSES
# The components that an analysis looks up by name, which no import shows.
LOOKED_UP = {
    "position_similarity": ["encodings"],
    "term_variance": ["encodings"],
    "aggregator_use": ["aggregators", "encodings", "models"],
}


def drawn(*figures):
    """The files of figures."""
    return [f"{ANALYSES}/{figure}{suffix}" for figure in figures for suffix in (".csv", ".pdf", ".png")]


def digest_of(analysis, states=()):
    components = [f"favit.{kind}.{name}" for kind in LOOKED_UP[analysis] for name in registry.names(kind)]
    return made_tables.analysis_digest(RESULTS, [f"favit.analysis.{analysis}", *components], states)


def anew_if_outdated(analysis, files, states=()):
    if not is_current(ANALYSES / f"{analysis}.json", digest_of(analysis, states), map(Path, files)):
        make_anew(files)


SIMILARITY = drawn("encodings-bilinear", "encodings-correlation", "encodings-claim")
VARIANCE = drawn("cross-terms-variance")
ALL_FOUR_TERMS = [
    state
    for state in STATES.values()
    if state.run["aggregator"] == "cross_terms" and state.run.settings.get("aggregator.terms", "all") == "all"
]


def code_alone(wildcards):
    anew_if_outdated("position_similarity", SIMILARITY)
    return []


def with_all_four_terms(wildcards):
    """The configured runs whose attention has all four terms, by their metrics."""
    if not ALL_FOUR_TERMS:
        raise WorkflowError("no sweep has the aggregator cross_terms with all four terms")
    anew_if_outdated("term_variance", VARIANCE, ALL_FOUR_TERMS)
    return [str(state.folder / METRICS) for state in ALL_FOUR_TERMS]


# What asks what models have learned reads the runs that are there, and trains none.
USE = drawn("aggregator-use")


@functools.cache
def trained_favits():
    """The runs of FaViT that count and kept their weights; asked for only where an analysis is."""
    of_favit = (s for s in STATES.values() if s.counts and families()[s.run["model"]] == "favit")
    return [state for state in of_favit if RunFolder(state.folder).weights.is_file()]


def of_favit(wildcards):
    """These runs, by their metrics."""
    if not trained_favits():
        raise WorkflowError("no run of FaViT is finished and has kept its weights (keep: weights); train a sweep first")
    anew_if_outdated("aggregator_use", USE, trained_favits())
    return [str(state.folder / METRICS) for state in trained_favits()]


localrules:
    position_similarity,
    term_variance,


rule position_similarity:
    output:
        SIMILARITY,
    input:
        code_alone,
    message:
        "How alike positions look, by encoding and distance"
    params:
        python=sys.executable,
        out=str(ANALYSES),
        digest=lambda w: digest_of("position_similarity"),
    shell:
        "{params.python:q} -m favit.analysis.position_similarity --out {params.out:q} --digest {params.digest}"


# The runs must have kept their weights: `--config keep=weights` when they are trained. Weights are no part of a
# result's identity, so a run that finished without them is not trained again by itself: delete its folder.
rule term_variance:
    output:
        VARIANCE,
    input:
        with_all_four_terms,
    message:
        "Variance of attention's four terms"
    params:
        python=sys.executable,
        out=str(ANALYSES),
        data=str(SETUP.data),
        digest=lambda w: digest_of("term_variance", ALL_FOUR_TERMS),
    shell:
        "{params.python:q} -m favit.analysis.term_variance $(dirname {input:q}) "
        "--data {params.data:q} --out {params.out:q} --digest {params.digest}"


# A job of its own, on a GPU where runs have one: every model scores its test images once for each other aggregator.
# The report shows the outcome.
rule aggregator_use:
    output:
        USE,
    input:
        of_favit,
    message:
        "What trained models make of their aggregators"
    threads: config.get("resources", {}).get("cpus", 1)
    resources:
        mem_mb=config.get("resources", {}).get("mem_mb", 4000),
        runtime=config.get("resources", {}).get("runtime", 60),
        gpu=config.get("resources", {}).get("gpus", 0),
    params:
        python=sys.executable,
        out=str(ANALYSES),
        data=str(SETUP.data),
        device=SETUP.device,
        digest=lambda w: digest_of("aggregator_use", trained_favits()),
    shell:
        "{params.python:q} -m favit.analysis.aggregator_use $(dirname {input:q}) --data {params.data:q} "
        "--device {params.device} --out {params.out:q} --digest {params.digest}"
