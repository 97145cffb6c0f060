"""What deciding costs: `snakemake` on our sweeps against a one-rule workflow of as many jobs, in turn.

The one-rule workflow has a rule of the same shape (message, threads, resources, params) and nothing to decide;
for comparison a rule that has only an output and a command. The second pair is a second `snakemake` where all runs
have finished.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import yaml
from interleave import compare

ROOT = Path(__file__).parents[1]

PATHS = """
RUNS = [line.split() for line in open("runs.txt")]
PATHS = [f"results/runs/{d}/{m}/{a}/{e}/seed{s}/{x}/metrics.json" for d, m, a, e, s, x in RUNS]
rule all:
    input: PATHS
"""

OUTPUT = (
    '    output: "results/runs/{dataset}/{model}/{aggregator}/{encoding}/seed{seed}/{digest}/metrics.json"\n'
)

SAME_SHAPE = f"""{PATHS}
rule train:
{OUTPUT}
    message: "{{resources.why}}"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
        gpu=0,
        nodes=1,
        why=lambda w: f"Train {{w.dataset}} {{w.model}}.{{w.aggregator}}.{{w.encoding}}: never run before",
        job_label="{{model}}.{{aggregator}}.{{encoding}}.seed{{seed}}",
        array_label="many.train",
        progress="results/runs/{{digest}}/checkpoint-*.pt",
        pack_line='{{"run": "results/runs/{{digest}}/run.json", "out": "results/runs/{{digest}}"}}',
        pack_command="{{params.program}} --runs",
    params:
        program=lambda w, threads: f"python results/snapshots/0123456789abcdef --threads {{threads}} "
            f"--workers {{threads}} --data data --device auto --keep none",
    shell: "exec {{params.program}} --run {{wildcards.digest}}/run.json --out {{wildcards.digest}}"
"""

ONLY_OUTPUT = f"""{PATHS}
rule train:
{OUTPUT}
    shell: "touch {{output}}"
"""


SHAPES = {"rule of the same shape": SAME_SHAPE, "rule with only an output": ONLY_OUTPUT}


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        ours, other = Path(temporary) / "ours", Path(temporary) / "other"
        prepare_ours(ours, options.runs)
        prepare_other(ours, other)
        for dry, title in (
            (True, "snakemake -n, nothing trained"),
            (False, "second snakemake, all finished"),
        ):
            for shape, text in SHAPES.items():
                (other / "Snakefile").write_text(text)
                sides = (partial(snakemake, folder, dry) for folder in (ours, other))
                result = compare(*sides, options.repeats, 1)
                print(result.line(f"{options.runs} runs, {title}, {shape}"), flush=True)
            finish(ours, other)


def prepare_ours(folder: Path, runs: int) -> None:
    """A copy of the project whose only sweep has so many runs."""
    folder.mkdir()
    for name in ("favit", "workflow"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", folder)
    matrix = {
        "dataset": ["seattle_weather"],
        "model": ["informer"],
        "aggregator": ["full", "probsparse"],
        "encoding": ["temporal", "sinusoidal"],
        "seed": list(range(runs // 4)),
    }
    (folder / "config.yaml").write_text(yaml.safe_dump({"sweeps": {"many": {"matrix": matrix}}}))


def states_of(folder: Path) -> list[dict[str, str]]:
    """Folder and contents that each run's result will have."""
    code = (
        "import json\n"
        "from favit.results.state import Results\n"
        "from favit.sweeps.config import load\n"
        "from favit.sweeps.runs import runs\n"
        "config = load()\n"
        "for s in Results(config).states(runs(config)):\n"
        "    content = {'status': 'finished', 'run': dict(s.run.settings), 'fingerprint': s.fingerprint.as_dict(),\n"
        "               'metrics': {'mse': 1.0, 'mae': 1.0}, 'wall_time_s': 60.0}\n"
        "    print(json.dumps({'folder': str(s.folder), 'content': content}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, check=True, capture_output=True, text=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def prepare_other(ours: Path, other: Path) -> None:
    """The same jobs, written down."""
    other.mkdir()
    names = (Path(state["folder"]).parts[2:] for state in states_of(ours))
    (other / "runs.txt").write_text("".join(" ".join(n).replace("seed", "", 1) + "\n" for n in names))


def finish(ours: Path, other: Path) -> None:
    """Leave the results of all runs in both, and our tables."""
    for state in states_of(ours):
        for root in (ours, other):
            path = root / state["folder"] / "metrics.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(state["content"]))
    environment = {**os.environ, "PYTHONPATH": str(ours)}
    subprocess.run(
        [sys.executable, "-m", "favit.tabulate", "all"],
        cwd=ours,
        check=True,
        env=environment,
        capture_output=True,
    )


def snakemake(folder: Path, dry: bool) -> None:
    """One call, in the folder's own code."""
    command = [sys.executable, "-m", "snakemake", *(["-n"] if dry else ["--cores", "1"])]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    subprocess.run(command, cwd=folder, check=True, env=environment, capture_output=True)


if __name__ == "__main__":
    main()
