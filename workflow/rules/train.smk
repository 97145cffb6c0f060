# One rule trains every run. What is trained stands in the command itself, so that a queued job depends on no
# file that an edit could change: the run's settings are its standard input, its code is a snapshot.

from favit import guard, snapshot
from snakemake.exceptions import WorkflowError
from snakemake.logging import logger


def envelope(wildcards):
    state = MISSING[wildcards.digest]
    return json.dumps({"run": dict(state.run.settings), "fingerprint": state.fingerprint.as_dict()}, sort_keys=True)


def asked(name, default):
    """A resource of the sweep that asks for the run."""
    return lambda wildcards: FIRST_SWEEP[MISSING[wildcards.digest].run.key].resources.get(name, default)


rule train:
    output:
        f"{RESULTS.root}/runs/{{dataset}}/{{model}}/{{aggregator}}/{{encoding}}/seed{{seed}}/{{digest}}/metrics.json",
    wildcard_constraints:
        digest=alternatives(MISSING),
    message:
        "{resources.why}"
    threads: asked("cpus", 1)
    resources:
        mem_mb=asked("mem_mb", 4000),
        runtime=asked("runtime", 60),
        gpu=asked("gpus", 0),
        why=lambda w: f"Train {MISSING[w.digest].run['dataset']} {MISSING[w.digest].run.name}: "
        + reason(MISSING[w.digest], RESULTS.fingerprinter),
        job_label=lambda w: MISSING[w.digest].run.name,
        array_label=lambda w: f"{FIRST_SWEEP[MISSING[w.digest].run.key].name}.train",
    params:
        python=sys.executable,
        code=lambda w: str(snapshot.folder_of(MISSING[w.digest].fingerprint.code, RESULTS.root)),
        envelope=envelope,
        folder=lambda w: str(MISSING[w.digest].folder),
        where=f"--data {SETUP.data} --device {SETUP.device} --keep {SETUP.keep}",
    shell:
        "exec {params.python:q} {params.code:q} --run - --out {params.folder:q} {params.where}"
        " --threads {threads} <<< {params.envelope:q}"


onstart:
    if workflow.is_main_process:
        to_train = [MISSING[j.wildcards.digest] for j in workflow.dag.needrun_jobs() if j.rule.name == "train"]
        try:
            logger.info(guard.before_training(SETUP, RESULTS, to_train))
        except (guard.NeedsConfirmation, snapshot.CodeChanged) as stop:
            raise WorkflowError(str(stop))
