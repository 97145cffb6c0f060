# Analyses, each a target of its own: a figure and its numbers under results/analysis, made anew when their
# code changes. No table needs them.

from favit.components import registry


def written(figure):
    return multiext(f"{RESULTS.root}/analysis/{figure}", ".csv", ".pdf", ".png")


def code_of(module):
    """A note of what an analysis runs, rewritten when that changes, and only then."""

    def written_note(wildcards):
        roots = [f"favit.analysis.{module}", *(f"favit.encodings.{name}" for name in registry.names("encodings"))]
        today = RESULTS.fingerprinter.reader.closure(roots).digest + "\n"
        return str(note(f"analysis/{module}.txt", today))

    return written_note


def with_all_four_terms(wildcards):
    """The configured runs whose attention has all four terms, by their metrics."""
    found = [
        str(state.folder / METRICS)
        for state in STATES.values()
        if state.run["aggregator"] == "cross_terms" and state.run.settings.get("aggregator.terms", "all") == "all"
    ]
    if not found:
        raise WorkflowError("no sweep has the aggregator cross_terms with all four terms")
    return found


localrules:
    position_similarity,
    term_variance,


rule position_similarity:
    output:
        written("encodings-bilinear"),
        written("encodings-correlation"),
        written("encodings-claim"),
    input:
        code_of("position_similarity"),
    message:
        "How alike positions look, by encoding and distance"
    params:
        python=sys.executable,
        out=f"{RESULTS.root}/analysis",
    shell:
        "{params.python:q} -m favit.analysis.position_similarity --out {params.out:q}"


# The runs must have kept their weights: `--config keep=weights` when they are trained. Weights are no part of a
# result's identity, so a run that finished without them is not trained again by itself: delete its folder.
rule term_variance:
    output:
        written("cross-terms-variance"),
    input:
        code_of("term_variance"),
        metrics=with_all_four_terms,
    message:
        "Variance of attention's four terms"
    params:
        python=sys.executable,
        out=f"{RESULTS.root}/analysis",
        data=str(SETUP.data),
    shell:
        "{params.python:q} -m favit.analysis.term_variance $(dirname {input.metrics:q}) "
        "--data {params.data:q} --out {params.out:q}"
