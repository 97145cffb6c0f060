"""What only a GPU can tell: CUDA against the CPU, resumption to the bit, hidden waits, and speed beside timm's PVT v2.

    make gpu-check                                       all parts, where there is a GPU
    python benchmarks/gpu_check.py [--part mechanisms|training|speed] [--minutes 8] [--out FILE] [--device cpu --quick]

Needs torch, timm, einops, numpy and pandas, and no network. Each check stands alone: one that fails is written down
and the next goes on. What was found is kept after every check in ``--out`` (JSON), so that a part that runs out of
its minutes loses nothing; what it had no time for is listed as skipped. ``--device cpu --quick`` tries the script
itself where there is no GPU. Exit status: 0 all well or no GPU, 1 something failed.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from benchmarks import gpu_mechanisms, gpu_speed, gpu_training, made_up

PARTS: dict[str, Callable[[Any], Any]] = {
    "mechanisms": gpu_mechanisms.checks,
    "training": gpu_training.checks,
    "speed": gpu_speed.checks,
}


@dataclass
class Bench:
    """Where checks run, and what they have found."""

    device: torch.device
    quick: bool
    root: Path
    out: Path
    found: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    ends: float = 0.0

    def keep(self) -> None:
        """Write what there is: whole or not at all."""
        self.out.parent.mkdir(parents=True, exist_ok=True)
        whole = self.out.with_suffix(".part")
        whole.write_text(json.dumps({**self.found, "checks": self.rows}, indent=1, default=str))
        whole.replace(self.out)

    def run(self, part: str, check: Check) -> None:
        """One check: note how it went."""
        row: dict[str, Any] = {"part": part, "name": check.name}
        began = time.monotonic()
        if self.ends - began < check.seconds:
            row |= {"ok": None, "note": "skipped: no time left"}
        else:
            row |= self._outcome(check) | {"seconds": round(time.monotonic() - began, 1)}
        self.rows.append(row)
        self.keep()
        word = {True: "ok  ", False: "FAIL", None: "skip"}[row["ok"]]
        print(f"{word} {row.get('seconds', 0):6.1f} s  {check.name}: {row['note']}", flush=True)

    def _outcome(self, check: Check) -> dict[str, Any]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ok, note = check.call()
            return {"ok": bool(ok), "note": note}
        except Exception as error:  # a check that breaks is a finding
            return {
                "ok": False,
                "note": f"{type(error).__name__}: {str(error)[:300]}",
                "trace": traceback.format_exc()[-2000:],
            }
        finally:
            torch.use_deterministic_algorithms(False)
            gc.collect()
            if self.device.type == "cuda":
                torch.cuda.set_sync_debug_mode(0)
                torch.cuda.empty_cache()


@dataclass(frozen=True)
class Check:
    """A name, what is done, which answers whether all is well and with a note, and the seconds it must be left."""

    name: str
    call: Callable[[], tuple[bool, Any]]
    seconds: float = 5.0


def main() -> int:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=(*PARTS, "all"), default="all")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="smallest sizes; on a CPU some minutes")
    parser.add_argument("--minutes", type=float, default=8.0, help="for each part (default: %(default)s)")
    parser.add_argument("--only", default="", help="checks whose name contains this")
    parser.add_argument("--out", type=Path, default=Path("gpu_check.json"))
    chosen = parser.parse_args()
    if chosen.device == "cuda" and not torch.cuda.is_available():
        print("gpu_check: skipped, torch finds no CUDA device here")
        return 0
    device = torch.device("cuda", 0) if chosen.device == "cuda" else torch.device("cpu")
    with tempfile.TemporaryDirectory(prefix="gpu_check_") as folder:
        bench = Bench(device, chosen.quick, Path(folder), chosen.out, found=described(device, chosen.quick))
        print(json.dumps(bench.found), flush=True)
        made_up.write_archive(bench.root, 256 if chosen.quick else 2048)
        made_up.write_series(bench.root)
        for part in PARTS if chosen.part == "all" else (chosen.part,):
            bench.ends = time.monotonic() + 60 * chosen.minutes
            for name, call, seconds in PARTS[part](bench):
                if chosen.only in name:
                    bench.run(part, Check(name, call, seconds))
    return summary(bench)


def described(device: torch.device, quick: bool) -> dict[str, Any]:
    """The machine."""
    found: dict[str, Any] = {"torch": torch.__version__, "cuda": torch.version.cuda, "quick": quick}
    if device.type != "cuda":
        return {**found, "device": f"CPU, {torch.get_num_threads()} threads"}
    properties = torch.cuda.get_device_properties(device)
    gib = round(properties.total_memory / 2**30, 1)
    capability = f"{properties.major}.{properties.minor}"
    return {**found, "device": properties.name, "memory_gib": gib, "capability": capability}


def summary(bench: Bench) -> int:
    """Print the table of speeds, and what failed."""
    print(f"\n{bench.found['device']}, torch {bench.found['torch']}")
    for name, row in bench.found.get("speed", {}).items():
        print(f"{name:44} " + "  ".join(f"{key} {value}" for key, value in row.items()))
    failed = [row for row in bench.rows if row["ok"] is False]
    skipped = sum(row["ok"] is None for row in bench.rows)
    print(f"{len(bench.rows)} checks, {len(failed)} failed, {skipped} skipped; kept in {bench.out}")
    for row in failed:
        print(f"FAILED {row['name']}: {row['note']}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
