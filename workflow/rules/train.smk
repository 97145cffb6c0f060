# One rule trains every run. A queued job depends on nothing that an edit could change: before the first one is
# submitted, each run's settings are written into its folder, and its code is kept as a snapshot.

import functools
import shlex

from favit.disk.cache import Cache
from favit.disk.run_folder import CHECKPOINTS
from favit.identity import snapshot
from favit.planning import buildable, tried
from favit.results import guard
from favit.results.ledger import Ledger
from snakemake.exceptions import WorkflowError
from snakemake.logging import logger


FOLDER = f"{RESULTS.root}/runs/{{dataset}}/{{model}}/{{aggregator}}/{{encoding}}/seed{{seed}}/{{digest}}"

def state(wildcards):
    return MISSING[wildcards.digest]


def nothing_if_missing(wildcards):
    """No input for a run that is to be trained; for any other a file that cannot exist.

    Snakemake then takes a result that is there for a plain file, whatever is forced, and refuses one that is not.
    """
    return [] if wildcards.digest in MISSING else f"{FOLDER}/not-to-be-trained--its-result-is-there-or-no-sweep-asks-for-it"


def sweep(wildcards):
    """The sweep that asks for the run, the first of several."""
    return FIRST_SWEEP[state(wildcards).run.key]


def by_sweep(value_of):
    """What depends on a run's sweep, as a plain value where all agree: Snakemake calls a function many times a job."""
    values = {value_of(FIRST_SWEEP[s.run.key]) for s in MISSING.values()}
    return values.pop() if len(values) == 1 else lambda w: value_of(sweep(w))


def asked(name, default):
    """A resource."""
    return by_sweep(lambda a_sweep: a_sweep.resources.get(name, default))


def labels():
    """Folder name -> what the run's job and its log are called: what tells it from all others of its sweep."""
    data = {name: {cell.run["dataset"] for cell in in_sweep} for name, in_sweep in CELLS.items()}
    found = {}
    for digest, a_state in MISSING.items():
        run = a_state.run
        several = len(data[FIRST_SWEEP[run.key].name]) > 1
        found[digest] = f"{run['dataset']}.{run.name}" if several else run.name
    return found


LABELS = labels()
# A plain text where wildcards are enough, which the executor fills in: Snakemake calls functions many times a job.
job_label = (
    "{model}.{aggregator}.{encoding}.seed{seed}"
    if all(LABELS[d] == f"{s.run.mechanism}.seed{s.run['seed']}" for d, s in MISSING.items())
    else lambda wildcards: LABELS[wildcards.digest]
)


def why(wildcards):
    run = state(wildcards).run
    return f"Train {run['dataset']} {run.name}: {reason(state(wildcards), RESULTS.fingerprinter)}{guard.missing_file(SETUP.data, run.settings)}"


def processes(a_sweep):
    """How many processes train a run on each of its nodes."""
    return max(1, a_sweep.resources.get("gpus", 0))


def program(wildcards, threads):
    """What trains a run: its code, on how many processes, with what; those of a node share its threads."""
    a_sweep = sweep(wildcards)
    share = max(1, threads // processes(a_sweep))
    words = [sys.executable, snapshot_of(wildcards.digest)]
    words += ["--nodes", a_sweep.resources.get("nodes", 1), "--processes", processes(a_sweep)]
    words += ["--threads", share, "--workers", share]
    # Where another process trains the run already, a queue is a better place to wait in than its devices.
    wait = " --wait" if workflow.local_exec else ""
    return f"{shlex.join(map(str, words))} {WHERE}{wait}"


@functools.cache
def snapshot_of(digest):
    """Looked up once for each run: Snakemake asks for a job's parameters many times."""
    return guard.snapshot_of(MISSING[digest], RESULTS)


WHERE = shlex.join(["--data", str(SETUP.data), "--device", SETUP.device, "--keep", SETUP.keep])
FILES = {"run": str(RunFolder(Path(FOLDER)).request), "out": FOLDER}
# As words of the command, which Snakemake fills in.
RUN_FILE, RUN_FOLDER = (shlex.quote(FILES[name]).replace("{", "{wildcards.") for name in ("run", "out"))


def if_packed(text):
    """What lets packed runs of equal programs share a process, which trains them one after the other by ``--runs``.

    A run of several processes has them for itself.
    """
    return by_sweep(
        lambda a_sweep: text if processes(a_sweep) == a_sweep.resources.get("nodes", 1) == 1 else ""
    )


rule train:
    output:
        f"{FOLDER}/{METRICS}",
    input:
        nothing_if_missing,
    wildcard_constraints:
        digest="[^/]+",
    message:
        "{resources.why}"
    threads: asked("cpus", 1)
    resources:
        mem_mb=asked("mem_mb", 4000),
        runtime=asked("runtime", 60),
        gpu=asked("gpus", 0),
        nodes=asked("nodes", 1),
        why=why,
        job_label=job_label,
        array_label=by_sweep(lambda a_sweep: f"{a_sweep.name}.train"),
        # A requeue after which there is a newer checkpoint does not count against submitit-max-requeues.
        progress=f"{FOLDER}/{CHECKPOINTS}",
        pack_line=if_packed(json.dumps(FILES)),
        pack_command=if_packed("{params.program} --runs"),
    params:
        program=program,
    shell:
        f"exec {{params.program}} --run {RUN_FILE} --out {RUN_FOLDER}"


if workflow.is_main_process:
    Ledger(RESULTS.root, next(map(str, workflow.configfiles), "config.yaml")).register(
        state.fingerprint.settings for state in STATES.values()
    )
    for _line in guard.untracked(STATES.values(), RESULTS):
        logger.warning(_line)


onstart:
    if workflow.is_main_process:
        keep_config()
        # A job that fails must not take a result with it: another process may have finished the run meanwhile.
        workflow.execution_settings.keep_incomplete = True
        needed = list(workflow.dag.needrun_jobs())
        to_train = [MISSING[j.wildcards.digest] for j in needed if j.rule.name == "train"]
        later = may_follow(j.wildcards.sweep for j in needed if j.rule.name == "stage")
        try:
            # What cannot be built ends here, in one line, and not in the queue.
            looked_at = Cache(RESULTS.root / ".cache" / "buildable.json")
            for line in buildable.check((a_state.run for a_state in to_train), looked_at):
                logger.info(line)
            for line in tried.check(to_train, SETUP.data, looked_at):
                logger.warning(line)
                workflow.scheduler.keepgoing = True
            logger.info(guard.before_training(SETUP, RESULTS, to_train, later))
            for _absent in guard.absent_data(SETUP.data, to_train):
                logger.warning(_absent)
                workflow.scheduler.keepgoing = True  # the runs that have their data train
            for _absent in guard.absent_loggers(SETUP) if to_train else ():
                logger.warning(_absent)
        except (guard.NeedsConfirmation, snapshot.CodeChanged, ConfigError, OSError) as stop:
            raise WorkflowError(str(stop))
