"""What deciding costs: `snakemake -n` on our sweeps against a bare one-rule workflow of as many jobs, in turn.

The second pair compares a second `snakemake` where all runs have finished.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from interleave import compare

ROOT = Path(__file__).parents[1]

BARE = """
RUNS = [line.split() for line in open("runs.txt")]
PATHS = [f"results/runs/{d}/{m}/{a}/{e}/seed{s}/{x}/metrics.json" for d, m, a, e, s, x in RUNS]
rule all:
    input: PATHS
rule train:
    output: "results/runs/{dataset}/{model}/{aggregator}/{encoding}/seed{seed}/{digest}/metrics.json"
    shell: "python -m favit.train {wildcards.digest}"
"""


def main() -> None:
    """Print both ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ours, bare = Path(folder) / "ours", Path(folder) / "bare"
        prepare_ours(ours, options.runs)
        prepare_bare(ours, bare)
        print(f"{options.runs} runs: ours, bare one-rule workflow")
        for title in ("snakemake -n, nothing trained", "second snakemake, everything finished"):
            result = compare(lambda: snakemake(ours, title), lambda: snakemake(bare, title), options.repeats, 1)
            print(result.line(title), flush=True)
            finish(ours, bare)


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
        "from favit.config import load\nfrom favit.state import Results\nfrom favit.sweep import runs\n"
        "config = load()\n"
        "for s in Results(config).states(runs(config)):\n"
        "    content = {'status': 'finished', 'run': dict(s.run.settings), 'fingerprint': s.fingerprint.as_dict(),\n"
        "               'metrics': {'mse': 1.0, 'mae': 1.0}, 'wall_time_s': 60.0}\n"
        "    print(json.dumps({'folder': str(s.folder), 'content': content}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def prepare_bare(ours: Path, bare: Path) -> None:
    """The same jobs without anything else."""
    bare.mkdir()
    (bare / "Snakefile").write_text(BARE)
    names = (Path(state["folder"]).parts[2:] for state in states_of(ours))
    (bare / "runs.txt").write_text("".join(" ".join(n).replace("seed", "", 1) + "\n" for n in names))


def finish(ours: Path, bare: Path) -> None:
    """Leave the results of all runs in both, and our tables."""
    for state in states_of(ours):
        for root in (ours, bare):
            path = root / state["folder"] / "metrics.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(state["content"]))
    environment = {**os.environ, "PYTHONPATH": str(ours)}
    subprocess.run(
        [sys.executable, "-m", "favit.tabulate", "all"], cwd=ours, check=True, env=environment, capture_output=True
    )


def snakemake(folder: Path, title: str) -> None:
    """One call, in the folder's own code."""
    arguments = ["-n"] if "-n" in title else ["--cores", "1"]
    command = [sys.executable, "-m", "snakemake", *arguments, "--quiet", "all"]
    subprocess.run(command, cwd=folder, check=True, env={**os.environ, "PYTHONPATH": str(folder)}, capture_output=True)


if __name__ == "__main__":
    main()
