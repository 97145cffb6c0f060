# Stages of sweeps whose results decide what is trained next: settings chosen by validation, seeds until decided.
#
# A stage is a checkpoint that waits for the runs asked for now; when it is there, the table asks again, with the
# results on disk then. Nothing is read from what it writes: the same is decided anew from the results each time, so
# that a stage may be lost, and the workflow killed, at any moment. Its file is named by its runs' fingerprints.

# Digest of a stage -> the metrics files that it waits for.
STAGES = {}


def waiting(sweep):
    """What a sweep asks for by the results that are there now."""
    from favit.analysis.asked import asked

    now = {state.run.key: state for state in RESULTS.states(POSSIBLE[sweep].runs)}
    found = asked(POSSIBLE[sweep], now)
    return [now[run.key] for run in found.runs]


def awaited_in_stages(sweep):
    """The runs behind a sweep's table that this process trains; while some are missing, the stage that waits for them."""
    announce(sweep)
    states = waiting(sweep)
    missing = [state for state in states if not state.counts]
    if missing:
        digest = short_digest(sorted(state.fingerprint.digest for state in states))
        STAGES[digest] = [str(state.folder / METRICS) for state in missing]
        checkpoints.stage.get(sweep=sweep, digest=digest)  # ends here until the stage is there
        raise WorkflowError(
            f"{sweep}: {len(missing)} runs of a finished stage are not valid, such as {missing[0].folder}; "
            "favit explain shows why"
        )
    trained = (STATES[state.run.key] for state in states)
    return [str(state.folder / METRICS) for state in trained if not state.counts]


def may_follow(sweeps):
    """Runs that these sweeps may ask for later, in alternatives, as far as they have no result."""
    for sweep in sweeps:
        for alternatives in decided(sweep).follow:
            states = ([STATES[run.key] for run in runs] for runs in alternatives)
            yield [[state for state in each if not state.counts] for each in states]


@functools.cache
def announce(sweep):
    """Say once how many runs a sweep needs now, and how many may follow."""
    if workflow.is_main_process:
        missing, more = len(runs_to_train(sweep)), sum(max(map(len, each)) for each in may_follow([sweep]))
        if missing or more:
            logger.info(f"{sweep}: {missing} runs to train now; up to {more} more may follow, depending on their results")


localrules:
    stage,


checkpoint stage:
    output:
        f"{RESULTS.root}/.stages/{{sweep}}/{{digest}}.json",
    input:
        lambda wildcards: STAGES[wildcards.digest],
    wildcard_constraints:
        sweep="|".join(STAGED) or "(?!)",
    message:
        "Decide what {wildcards.sweep} trains next"
    params:
        python=sys.executable,
        config=str(CONFIG_FILE),
    shell:
        "{params.python:q} -m favit.analysis.asked {wildcards.sweep} --config {params.config:q} --out {output:q}"
