"""Train one run of an export again and compare the numbers: ``favit reproduce EXPORT [--run NAME]``.

In an environment made for it from the export's lock, or with ``--here`` in this one. Ends with 0 where its numbers are
equal to the bit or within its seeds' interval, with 1 where they are neither.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from favit.commands.main import command_line
from favit.components.nearest import unknown
from favit.exporting import again, bundle
from favit.sweeps.config import ConfigError


def main(arguments: Sequence[str]) -> int:
    """Check the files of the export, train the run, and print how its numbers compare."""
    parser = command_line("reproduce", __doc__)
    parser.add_argument("export", type=Path, help="folder or zip that favit export wrote")
    parser.add_argument("--run", help="name of the run (default: the one that took the least time)")
    parser.add_argument(
        "--here",
        action="store_true",
        help="train with the packages installed here, not in a fresh environment",
    )
    parser.add_argument(
        "--data", type=Path, default=Path("data"), help="folder of the data sets (default: %(default)s)"
    )
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: %(default)s"
    )
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="favit-reproduce-") as scratch:
        try:
            return _reproduce(
                options.export, options.run, options.here, options.data, options.device, Path(scratch)
            )
        except (bundle.NotWhole, again.CannotTrain) as error:
            raise ConfigError(str(error)) from None


def _reproduce(export: Path, wanted: str | None, here: bool, data: Path, device: str, scratch: Path) -> int:
    (scratch / "unpacked").mkdir()
    folder = bundle.opened(export, scratch / "unpacked").resolve()
    print(f"{bundle.check(folder)} files match the manifest", flush=True)
    runs = again.runs_in(folder)
    if not runs:
        raise ConfigError(f"{export} has no finished run")
    name = wanted or again.cheapest(runs)
    if name not in runs:
        raise ConfigError(unknown(f"run '{name}'", name, runs))
    python = None
    if not here:
        print("installing requirements.txt in a fresh environment", flush=True)
        python = again.fresh_python(folder, scratch / "environment")
    print(
        f"training {name} (last time: {runs[name].get('device_seconds') or 0:.0f} device seconds)", flush=True
    )
    again.train(folder, name, scratch / "out", data.resolve(), device, python)
    cell = {k: v for k, v in runs[name]["run"].items() if k != "seed"}
    seeds = [r for r in runs.values() if {k: v for k, v in r["run"].items() if k != "seed"} == cell]
    verdict = again.judge(folder / bundle.RUNS / name, scratch / "out", seeds)
    print(f"{name}: {verdict.words}")
    return int(verdict.outcome == "neither")
