# One rule trains every run. A queued job depends on nothing that an edit could change: before the first one is
# submitted, each run's settings are written into its folder, and its code is kept as a snapshot.

import functools
import shlex

from favit.disk.run_folder import CHECKPOINTS
from favit.identity import snapshot
from favit.results import guard
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


def why(wildcards):
    run = state(wildcards).run
    return f"Train {run['dataset']} {run.name}: {reason(state(wildcards), RESULTS.fingerprinter)}"


def command(wildcards, threads):
    """What starts the processes, the code to train with, what to train, and where to; they share the threads."""
    folder, code = RunFolder(state(wildcards).folder), snapshot_of(wildcards.digest)
    asked_for = sweep(wildcards).resources
    processes = max(1, asked_for.get("gpus", 0))  # on each node
    start = launcher(asked_for.get("nodes", 1), processes)
    share = max(1, threads // processes)
    words = [code, "--run", folder.request, "--out", folder.path]
    # Where another process trains the run already, a queue is a better place to wait in than its devices.
    wait = " --wait" if workflow.local_exec else ""
    return f"{start} {shlex.join(map(str, words))} {WHERE} --threads {share} --workers {share}{wait}"


@functools.cache
def snapshot_of(digest):
    return guard.snapshot_of(MISSING[digest], RESULTS)


WHERE = shlex.join(["--data", str(SETUP.data), "--device", SETUP.device, "--keep", SETUP.keep])


@functools.cache
def launcher(nodes, processes):
    """The interpreter, alone or under torchrun; on several nodes srun starts one torchrun each.

    The warning SIGUSR2 reaches processes that handle it. Here it has to go through srun, which takes it without
    a handler, and past torchrun, which would die of it: shells around the two pass it on.
    """
    python = shlex.quote(sys.executable)
    torchrun = f"-m torch.distributed.run --nproc-per-node {processes}"
    if nodes == 1:
        return python if processes == 1 else f"{python} {torchrun} --standalone --"
    meet = '--node-rank "$SLURM_NODEID" --master-addr "$MASTER_ADDR" --master-port "$MASTER_PORT"'
    each = passing_on(
        f'(trap "" USR2; exec "$0" {torchrun} --nnodes {nodes} {meet} -- "$@")',
        "kill -USR2 $(cat /proc/$child/task/$child/children)",
    )
    srun = f"srun --nodes={nodes} --ntasks={nodes} --ntasks-per-node=1 --kill-on-bad-exit=0"
    every = passing_on(f'{srun} bash -c {shlex.quote(each)} "$0" "$@"', "kill -USR2 $child")
    return f'env MASTER_ADDR="$(hostname)" bash -c {shlex.quote(every)} {python}'


def passing_on(command, warn):
    """A script that runs a command and, told by SIGUSR2, does `warn`, where $child is the command's process."""
    return f"""
        trap {shlex.quote(warn)} USR2
        trap : TERM
        {command} &
        child=$!
        while kill -0 $child 2> /dev/null; do wait $child; status=$?; done
        exit $status
    """


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
        # The executor fills in wildcards.
        job_label="{model}.{aggregator}.{encoding}.seed{seed}",
        array_label=by_sweep(lambda a_sweep: f"{a_sweep.name}.train"),
        # A requeue after which there is a newer checkpoint does not count against submitit-max-requeues.
        progress=f"{FOLDER}/{CHECKPOINTS}",
    params:
        command=command,
    shell:
        "exec {params.command}"


onstart:
    if workflow.is_main_process:
        keep_config()
        # A job that fails must not take a result with it: another process may have finished the run meanwhile.
        workflow.execution_settings.keep_incomplete = True
        to_train = [MISSING[j.wildcards.digest] for j in workflow.dag.needrun_jobs() if j.rule.name == "train"]
        try:
            logger.info(guard.before_training(SETUP, RESULTS, to_train))
        except (guard.NeedsConfirmation, snapshot.CodeChanged, OSError) as stop:
            raise WorkflowError(str(stop))
