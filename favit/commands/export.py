"""Bundle a sweep to share: ``favit export SWEEP --to FOLDER-or-FILE.zip``.

Tables, figures, the report, the configuration, every run that counts (settings, scores, predictions, history, log),
the code that made it, a lock of the environment, the citation, and a README that says how to check it.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from favit.analysis.asked import of_sweep
from favit.analysis.page import report
from favit.analysis.sweep_tables import make
from favit.commands.main import add_config, command_line
from favit.commands.report import section
from favit.disk.files import write_atomic
from favit.exporting import bundle, lock
from favit.results.state import Results
from favit.results.tables import files
from favit.sweeps import shipped
from favit.sweeps.config import Config, ConfigError, SweepConfig, load

_README = """# {names}

Exported from FaViT-ProbSparse by `favit export`. It has {runs} of {asked} runs.

| | |
| --- | --- |
| `tables/` | each table as CSV, LaTeX and Markdown, and `.runs.csv`: a row for each run and metric |
| `report.html`, `figures/` | all tables and figures as one page; the figures for a paper |
| `runs/<name>/` | `run.json` (settings, fingerprint), `metrics.json`, `history.csv`, `predictions.npz`, `train.log` |
| `snapshots/` | the code that trained them, named by its digest in `metrics.json` |
| `config.yaml` | the configuration; `requirements.txt`: the packages, with versions |
| `CITATION.cff`, `LICENSE` | how to cite it; what may be done with the code in `snapshots/` |
| `manifest.json` | the SHA-256 of every other file |

## Check it

To check that the files are as they were exported (in this folder, with Python alone):

    python -c "import hashlib, json, pathlib; m = json.load(open('manifest.json')); \\
    print([n for n in m if hashlib.sha256(pathlib.Path(n).read_bytes()).hexdigest() != m[n]] or 'whole')"

To check the numbers, train one run again with the code in `snapshots/`, in a fresh environment. The result is equal
to the bit, within the interval of its seeds, or neither.

    favit reproduce .                       # the run that took the least time
    favit reproduce . --run {example}

Without favit, the same by hand:

    python -m venv again && again/bin/pip install -r requirements.txt
    again/bin/python snapshots/{snapshot} --run runs/{example}/run.json --out again/out --data DATA

{remarks}"""


def export(config: Config, file: Path, sweeps: Sequence[SweepConfig], target: Path, weights: bool) -> int:
    """Write the export; returns the number of its runs. ``ConfigError`` if there is nothing to export."""
    results = Results(config)
    in_sweeps = {run.key: run for sweep in sweeps for run in of_sweep(sweep, results).runs}
    states = results.states(in_sweeps.values())
    counting = [state for state in states if state.result is not None]
    if not counting:
        raise ConfigError(
            f"no run of {', '.join(s.name for s in sweeps)} has a valid result; favit explain shows why"
        )
    try:
        with bundle.building(target) as folder:
            names, without_code = bundle.copy_runs(counting, results.root, folder, weights)
            for sweep in sweeps:
                make(config, sweep, results)
                for path in files(config, sweep.name):
                    (folder / "tables").mkdir(exist_ok=True)
                    shutil.copyfile(path, folder / "tables" / path.name)
            report.write([section(config, sweep, results) for sweep in sweeps], folder, config.data)
            shutil.rmtree(folder / "report")
            for path in (file, *(shipped.folder() / name for name in shipped.TERMS)):
                if path.is_file():
                    shutil.copyfile(path, folder / path.name)
            write_atomic(folder / bundle.LOCK, lock.lock())
            example = min(counting, key=lambda state: state.result.seconds if state.result else 0.0)
            assert example.result is not None
            text = _README.format(
                names=", ".join(sweep.name for sweep in sweeps),
                runs=len(counting),
                asked=len(states),
                example=names[example.run.key],
                snapshot=example.result.content.get("snapshot"),
                remarks=_remarks(without_code),
            )
            write_atomic(folder / "README.md", text)
    except FileExistsError as error:
        raise ConfigError(str(error)) from None
    return len(counting)


def _remarks(without_code: Sequence[str]) -> str:
    if not without_code:
        return ""
    return f"The code of {len(without_code)} runs is missing: {', '.join(without_code)}.\n"


def main(arguments: Sequence[str]) -> int:
    """Write the export and print its path."""
    parser = command_line("export", __doc__)
    parser.add_argument("sweeps", nargs="+", help="sweeps, groups or all")
    parser.add_argument("--to", type=Path, required=True, help="new folder, or a file that ends in .zip")
    parser.add_argument("--weights", action="store_true", help="include the weights that were kept")
    add_config(parser)
    options = parser.parse_args(arguments)
    config = load(options.config)
    sweeps = {sweep.name: sweep for name in options.sweeps for sweep in config.sweeps_of(name)}
    number = export(config, Path(options.config), list(sweeps.values()), options.to, options.weights)
    print(f"{options.to}: {number} runs; favit reproduce {options.to} trains one of them again")
    return 0
