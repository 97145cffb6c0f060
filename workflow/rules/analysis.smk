# Analyses, each a target of its own: a figure and its numbers under results/analysis, made anew when their
# code or the results that they read change. No table needs them.

from favit.components import registry
from favit.results.made import is_current

ANALYSES = RESULTS.root / "analysis"
ENCODINGS = [f"favit.encodings.{name}" for name in registry.names("encodings")]


def drawn(*figures):
    """The files of figures."""
    return [f"{ANALYSES}/{figure}{suffix}" for figure in figures for suffix in (".csv", ".pdf", ".png")]


def digest_of(analysis, states=()):
    return made_tables.analysis_digest(RESULTS, [f"favit.analysis.{analysis}", *ENCODINGS], states)


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
