"""Every measurement, one after the other: ``make bench``. What lacks its tools says so in one line and is skipped."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent

# What a script needs besides torch, timm, einops, numpy and pandas: modules, and programs as (program,)
NEEDS: dict[str, tuple[str | tuple[str], ...]] = {
    "bench_executor": ("snakemake", "snakemake_executor_plugin_slurm", "submitit", ("slurmctld",)),
    "bench_imagenet": ("PIL", "torchvision", "sklearn"),
    "bench_stale": ("snakemake", "jsonschema", "yaml"),
    "bench_statistics": ("scipy",),
    "bench_tables": ("scipy",),
    "bench_workflow": ("snakemake", "jsonschema", "yaml"),
}


def missing(script: str) -> list[str]:
    """What a script needs and is not here."""
    found = []
    for need in NEEDS.get(script, ()):
        if isinstance(need, tuple):
            found += [name for name in need if shutil.which(name) is None]
        elif importlib.util.find_spec(need) is None:
            found.append(need)
    return found


def main() -> int:
    """Run all scripts; the exit status of the first that fails."""
    for path in sorted(HERE.glob("bench_*.py")):
        lacking = missing(path.stem)
        if lacking:
            print(f"{path.stem}: skipped, not here: {', '.join(lacking)}", flush=True)
            continue
        print(f"== {path.stem}", flush=True)
        status = subprocess.run([sys.executable, str(path)], check=False).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
