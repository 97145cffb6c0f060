# Analyses, each a target of its own: a figure and its numbers under results/analysis, made anew when their
# code or the results that they read change. No table needs them.

import functools
import shlex

from favit.components import registry
from favit.components.literals import family_of
from favit.results.made import is_current

ANALYSES = RESULTS.root / made_tables.ANALYSES
# The components that an analysis looks up by name, which no import shows.
LOOKED_UP = {
    "position_similarity": ["encodings"],
    "term_variance": ["encodings"],
    "aggregator_use": ["aggregators", "encodings", "models"],
    "kept_keys": ["aggregators", "encodings", "models"],
    "trained_encodings": ["encodings"],
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
@functools.cache
def all_four_terms():
    """The runs that sweeps ask for whose attention has all four terms."""
    asked_for = unique(run for name in POSSIBLE for run in asked_by(name))
    return [
        STATES[run.key]
        for run in asked_for
        if run["aggregator"] == "cross_terms" and run.settings.get("aggregator.terms", "all") == "all"
    ]


def code_alone(wildcards):
    anew_if_outdated("position_similarity", SIMILARITY)
    return []


def with_all_four_terms(wildcards):
    """The configured runs whose attention has all four terms, by their metrics."""
    if not all_four_terms():
        raise WorkflowError("no sweep has the aggregator cross_terms with terms: all; add one to config.yaml")
    anew_if_outdated("term_variance", VARIANCE, all_four_terms())
    return [str(state.folder / METRICS) for state in all_four_terms()]


# What asks what models have learned reads the runs that are there and have kept their weights; it trains none.
TRAINED = {
    "aggregator_use": (
        drawn("aggregator-use"),
        "of FaViT",
        lambda run: family_of(run["model"]) == "favit",
    ),
    "kept_keys": (
        drawn("kept-keys"),
        "of FaViT with the aggregator probsparse",
        lambda run: family_of(run["model"]) == "favit" and run["aggregator"] == "probsparse",
    ),
    "trained_encodings": (
        drawn("encodings-trained"),
        "with the encoding learned",
        lambda run: run["encoding"] == "learned",
    ),
}


@functools.cache
def trained(analysis):
    """The runs that an analysis is of; looked for only where it is asked for."""
    asked_for = TRAINED[analysis][2]
    # One that diverged is a result, too, and has nothing to ask.
    ended = (state for state in STATES.values() if state.counts and state.result.content["status"] == "finished")
    chosen = (state for state in ended if asked_for(state.run))
    return [state for state in chosen if RunFolder(state.folder).weights.is_file()]


def metrics_of(analysis):
    """An input function: these runs, by their metrics."""

    def found(wildcards):
        files, words, _ = TRAINED[analysis]
        if not trained(analysis):
            raise WorkflowError(f"no finished run {words} has kept its weights; train one with keep: weights")
        anew_if_outdated(analysis, files, trained(analysis))
        return [str(state.folder / METRICS) for state in trained(analysis)]

    return found


localrules:
    position_similarity,
    term_variance,
    trained_encodings,


rule position_similarity:
    """Measure how alike positions look, by encoding and distance."""
    output:
        SIMILARITY,
    input:
        code_alone,
    message:
        "Similarity of positions by encoding and distance"
    params:
        python=sys.executable,
        out=str(ANALYSES),
        digest=lambda w: digest_of("position_similarity"),
    shell:
        "{params.python:q} -m favit.analysis.position_similarity --out {params.out:q} --digest {params.digest}"


# The runs must have kept their weights: `--config keep=weights` when they are trained. Weights are no part of a
# result's identity, so a run that finished without them is not trained again by itself: delete its folder.
rule term_variance:
    """Measure the variance of attention's four terms in trained runs of cross_terms."""
    output:
        VARIANCE,
    input:
        with_all_four_terms,
    message:
        "Variance of the four terms of attention"
    params:
        python=sys.executable,
        out=str(ANALYSES),
        data=str(SETUP.data),
        digest=lambda w: digest_of("term_variance", all_four_terms()),
    shell:
        "{params.python:q} -m favit.analysis.term_variance $(dirname {input:q}) "
        "--data {params.data:q} --out {params.out:q} --digest {params.digest}"


# Jobs of their own, on a GPU where runs have one: models score their test images, in the first once for each other
# aggregator. The report shows what it finds.
rule aggregator_use:
    """Measure what trained FaViT models make of their aggregators."""
    output:
        TRAINED["aggregator_use"][0],
    input:
        metrics_of("aggregator_use"),
    message:
        "How trained models use their aggregators"
    threads: config.get("resources", {}).get("cpus", 1)
    resources:
        mem_mb=config.get("resources", {}).get("mem_mb", 4000),
        runtime=config.get("resources", {}).get("runtime", 60),
        gpu=config.get("resources", {}).get("gpus", 0),
    params:
        python=sys.executable,
        where=shlex.join(["--data", str(SETUP.data), "--device", SETUP.device, "--out", str(ANALYSES)]),
        digest=lambda w: digest_of("aggregator_use", trained("aggregator_use")),
    shell:
        "{params.python:q} -m favit.analysis.aggregator_use $(dirname {input:q}) {params.where} --digest {params.digest}"


rule kept_keys:
    """Measure how far apart the samples are that ProbSparse keeps."""
    output:
        TRAINED["kept_keys"][0],
    input:
        metrics_of("kept_keys"),
    message:
        "Distance between the samples that ProbSparse keeps"
    threads: config.get("resources", {}).get("cpus", 1)
    resources:
        mem_mb=config.get("resources", {}).get("mem_mb", 4000),
        runtime=config.get("resources", {}).get("runtime", 60),
        gpu=config.get("resources", {}).get("gpus", 0),
    params:
        python=sys.executable,
        where=shlex.join(["--data", str(SETUP.data), "--device", SETUP.device, "--out", str(ANALYSES)]),
        digest=lambda w: digest_of("kept_keys", trained("kept_keys")),
    shell:
        "{params.python:q} -m favit.analysis.kept_keys $(dirname {input:q}) {params.where} --digest {params.digest}"


rule trained_encodings:
    """Show what learned encodings have become."""
    output:
        TRAINED["trained_encodings"][0],
    input:
        metrics_of("trained_encodings"),
    message:
        "Learned encodings after training"
    params:
        python=sys.executable,
        out=str(ANALYSES),
        digest=lambda w: digest_of("trained_encodings", trained("trained_encodings")),
    shell:
        "{params.python:q} -m favit.analysis.trained_encodings $(dirname {input:q}) --out {params.out:q} "
        "--digest {params.digest}"
