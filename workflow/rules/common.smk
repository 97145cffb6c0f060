# What the sweeps ask for and which results exist: every rule uses this file.
#
# The result on disk decides what must run. Snakemake is made to agree by what it is offered: a run with a
# valid result is a plain existing file that no rule makes, so no trigger can touch it; a run without one is a
# file that does not exist yet, in a folder named after its fingerprint.

import functools
import json
import sys
from pathlib import Path

sys.path.insert(0, workflow.basedir)  # this checkout's code, whatever is installed

from favit.disk.files import write_atomic
from favit.disk.run_folder import METRICS, RunFolder
from favit.identity.digests import short_digest
from favit.results import tables as made_tables
from favit.results.reasons import reason
from favit.results.state import Results
from favit.sweeps.config import ConfigError
from favit.sweeps.config import parse as parse_config
from favit.sweeps.config import as_yaml
from favit.sweeps.config import read as read_config
from favit.sweeps.cells import unused
from favit.sweeps.runs import unique
from favit.sweeps import shipped
from favit.sweeps.stages import possible
from snakemake.logging import logger


def typed(value, given):
    """What was given by ``--config``, in which Snakemake leaves all text that is nested: ``resources={gpus: 2}``."""
    if isinstance(given, dict) and isinstance(value, dict):
        return {key: typed(below, given[key]) if key in given else below for key, below in value.items()}
    if isinstance(given, list) and isinstance(value, list):
        return [typed(item, item) for item in value]
    return as_yaml(value) if isinstance(given, str) and isinstance(value, str) else value


try:
    for _file in map(Path, workflow.configfiles):
        if _file.suffix in (".yaml", ".yml") and _file.is_file():
            read_config(_file)  # Snakemake's own reading lets keys that are given twice pass
    for _key in set(workflow.config_settings.config or {}) & set(config):
        config[_key] = typed(config[_key], workflow.config_settings.config[_key])
    SETUP = parse_config(dict(config))
    POSSIBLE = {name: possible(sweep) for name, sweep in SETUP.sweeps.items()}
    CELLS = {name: in_sweep.cells for name, in_sweep in POSSIBLE.items()}
    RESULTS = Results(SETUP)
    STATES = {state.run.key: state for state in RESULTS.states(unique(r for p in POSSIBLE.values() for r in p.runs))}
    PLAIN = {name: sweep for name, sweep in SETUP.sweeps.items() if not sweep.staged}
    TODAY = {name: made_tables.table_digest(PLAIN[name], CELLS[name], RESULTS, STATES) for name in PLAIN}
except ConfigError as error:
    sys.exit(str(error))  # one line; a traceback would bury it

# The file that commands read the configuration from: a copy where --config or --configfile changed something.
CONFIG_FILE = Path("config.yaml")
if not CONFIG_FILE.is_file() or read_config(CONFIG_FILE) != config:
    CONFIG_FILE = SETUP.results / ".cache" / "config" / f"{short_digest(config)}.json"


def keep_config():
    """Write that copy, before the first job."""
    if CONFIG_FILE.name != "config.yaml":
        write_atomic(CONFIG_FILE, json.dumps(config))


def make_anew(files):
    """Have these files made whatever stands there, as `--forcerun` would. For input functions: the graph is there then.

    Tables, the report and analyses record what they were made from; where that is not today's, times of files or
    notes of Snakemake's would say little.
    """
    workflow.dag.forcefiles.update(map(str, files))


# Folder name -> state, of the runs that have no result that counts.
MISSING = {state.folder.name: state for state in STATES.values() if not state.counts}

# What is to be known before a sweep's runs are trained, once for each sweep that has some to train.
if workflow.is_main_process:
    if _said := shipped.outdated(Path(workflow.basedir)):
        logger.warning(_said)
    for _sweep in SETUP.sweeps.values():
        if any(not STATES[run.key].counts for run in POSSIBLE[_sweep.name].runs):
            if _said := _sweep.recipe.said:
                logger.info(f"{_sweep.name}: {_said}")
            for _key in unused(_sweep):
                logger.info(
                    f"{_sweep.name}: no row uses {_key} of recipe {_sweep.recipe.name}; "
                    f"settings: {{{_key}: null}} removes it"
                )

# Run -> the first sweep that asks for it: whose resources it gets and whose array it joins.
FIRST_SWEEP = {}
for _name, _possible in POSSIBLE.items():
    for _run in _possible.runs:
        FIRST_SWEEP.setdefault(_run.key, SETUP.sweeps[_name])


# Sweeps whose results decide what they ask for. That is decided where it is asked for, and not for every command: the
# analysis behind it takes longer to import than all of this file.
STAGED = [name for name in SETUP.sweeps if name not in PLAIN]


@functools.cache
def decided(sweep):
    """What a sweep of these asks for when this process begins."""
    from favit.analysis.asked import asked

    return asked(POSSIBLE[sweep], STATES)


@functools.cache
def today(sweep):
    """The digest of a sweep's table as it would be made when this process begins."""
    if sweep in TODAY:
        return TODAY[sweep]
    from favit.analysis.asked import digest

    return digest(decided(sweep), RESULTS, STATES)


def asked_by(sweep):
    """The runs that a sweep asks for when this process begins."""
    return (POSSIBLE[sweep] if sweep in PLAIN else decided(sweep)).runs


def runs_to_train(sweep):
    """The metrics files of a sweep's runs that are not there, of those that it asks for when this process begins."""
    missing = (STATES[run.key] for run in asked_by(sweep))
    return list(dict.fromkeys(str(state.folder / METRICS) for state in missing if not state.counts))


def tables_of(target):
    """The tables behind a target."""
    return [str(made_tables.folder(SETUP) / f"{sweep.name}.csv") for sweep in SETUP.sweeps_of(target)]
