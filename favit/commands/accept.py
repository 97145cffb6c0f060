"""Keep results valid after a change of code: ``favit accept RUN... --why "a new name"``, or ``--prove [RUN...]``.

With ``--why`` a person judges that a change of code or versions is harmless. The record lies beside the result,
says who, when and why, and appears in every table. Results with other settings or other data cannot be accepted.
With ``--prove`` nobody judges: the code that made each result and today's code train a few steps, and results are
accepted if all numbers are equal to the bit. Free of torch.
"""

from __future__ import annotations

import getpass
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from favit.commands.explain import asked_for_later
from favit.commands.main import add_config, command_line
from favit.disk.files import write_atomic
from favit.disk.run_folder import RunFolder
from favit.identity import snapshot
from favit.identity.snapshot import CodeChanged
from favit.proof.prove import Proof, Prover, Unprovable, counts_for
from favit.results.reasons import differences, reason
from favit.results.selection import WORDS, filtered, parted, select
from favit.results.state import Result, Results, State, same_input
from favit.sweeps.config import load
from favit.sweeps.runs import Run, runs, unique


class Unacceptable(Exception):
    """No result of a run can be accepted; the message says why."""


def candidate(state: State, named: Path | None = None) -> Result:
    """The result to accept: the one in the folder ``named``, else the one with today's settings and data.

    Raises ``Unacceptable`` if there is none, where the named one has other settings or data, and where results of
    several codes qualify: only a person can know which was meant.
    """
    same = _same_input(state, named)
    if not same:
        raise Unacceptable("no finished result has the settings and data of this run")
    made = {
        json.dumps([r.fingerprint.get(part) for part in ("code", "versions")], sort_keys=True) for r in same
    }
    if len(made) > 1:
        folders = " or ".join(str(r.folder) for r in same)
        raise Unacceptable(f"results made by different code qualify; name the folder of one: {folders}")
    return max(same, key=lambda r: str(r.content.get("finished", "")))


def _same_input(state: State, named: Path | None) -> list[Result]:
    """The results with today's settings and data, or the one of them that was named."""
    same = [r for r in state.others if same_input(r, state.fingerprint)]
    return same if named is None else [r for r in same if r.folder.resolve() == named]


def accept(
    state: State, result: Result, results: Results, who: str, why: str, proof: Proof | None = None
) -> None:
    """Record beside a result that it counts under the code and versions of today's fingerprint.

    Today's code is kept as a snapshot, from which a later proof may go on. Raises ``Unacceptable`` if what was
    recorded before cannot be read: it would be lost.
    """
    fingerprinter, lock = results.fingerprinter, results.root / ".cache" / "accepting.lock"
    program, code = fingerprinter.program(state.run), fingerprinter.code(state.run)
    record: dict[str, Any] = {
        "from": result.fingerprint.get("code"),
        "code": state.fingerprint.code,
        "versions": dict(state.fingerprint.versions),
        "stamp": result.stamp,  # of its numbers: beside another result it says nothing
        "snapshot": snapshot.keep(program, code, results.root, fingerprinter.reader).name,
        "who": who,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "why": why,
        **({"proof": asdict(proof)} if proof else {}),
    }
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):  # two who accept at once both stay on record
        path = RunFolder(result.folder).acceptances
        text = json.dumps([*_recorded(path), record], indent=1) + "\n"
        write_atomic(path, text)


def _recorded(path: Path) -> list[Any]:
    """The records of a file; none if there is no file."""
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return []
    except (OSError, ValueError, RecursionError) as error:
        raise Unacceptable(
            f"cannot read {path} ({error}); repair or move it: it records who accepted what"
        ) from None
    if not isinstance(found, list):
        raise Unacceptable(
            f"{path} is not a list of acceptances; repair or move it: it records who accepted what"
        )
    return found


def main(arguments: Sequence[str]) -> int:
    """Accept the results of the named runs."""
    parser = command_line("accept", __doc__)
    parser.add_argument("runs", nargs="*", help=WORDS)
    parser.add_argument("--why", help="why the change cannot affect the results")
    parser.add_argument("--who", default=getpass.getuser(), help="who accepts (default: %(default)s)")
    parser.add_argument(
        "--prove",
        action="store_true",
        help="train a few steps with old and new code, and accept results whose numbers are equal to the bit",
    )
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        help="device for --prove (default: device of the configuration)",
    )
    add_config(parser)
    options = parser.parse_args(arguments)
    if not options.prove and not (options.runs and options.why):
        parser.error("give RUN... with --why REASON, or --prove")
    config = load(options.config)
    results = Results(config)
    wanted: dict[str, tuple[Run, Path | None]] = {}
    in_sweeps = unique(run for name in config.sweeps for run in runs(config, name))
    names, filters = parted(options.runs, in_sweeps)
    for name in names or ([] if filters else ["all"]):
        wanted.update(
            {run.key: (run, _named_folder(name)) for run in filtered(select(config, name), filters)}
        )
    if not names and filters:
        wanted.update({run.key: (run, None) for run in filtered(in_sweeps, filters)})
    states = results.states(run for run, _ in wanted.values())
    pairs = list(zip(states, (named for _, named in wanted.values()), strict=True))
    if options.prove:
        return int(
            not _all_proved(pairs, results, Prover(results, config.data, options.device or config.device))
        )
    # What a sweep may come to ask for, and was never trained, has nothing to accept.
    absent = {state.run.key for state, _ in pairs if not state.counts and not state.others}
    later = asked_for_later(config, results, absent)
    pairs = [pair for pair in pairs if pair[0].run.key not in later] or pairs
    outcomes = [_accepted(state, named, results, options.who, options.why) for state, named in pairs]
    return int(not all(outcomes))


def _named_folder(name: str) -> Path | None:
    """The folder if ``name`` is that of one result; None for a run, a sweep or a folder of several."""
    path = Path(name)
    folder = path.parent if path.is_file() else path
    return folder.resolve() if RunFolder(folder).is_finished else None


def _accepted(state: State, named: Path | None, results: Results, who: str, why: str) -> bool:
    """Accept the result of a run if need be; returns whether one counts."""
    name = f"{state.run['dataset']} {state.run.name}"
    if state.result is not None and named in (None, state.result.folder.resolve()):
        print(f"{name}: already {state.name}")
        return True
    try:
        if state.result is not None:
            raise Unacceptable(f"{state.result.folder} is already {state.name} and takes precedence")
        result = candidate(state, named)
        accept(state, result, results, who, why)
    except (Unacceptable, CodeChanged, OSError) as error:
        print(f"{name}: not accepted: {error} ({reason(state, results.fingerprinter)})", file=sys.stderr)
        return False
    print(f"{name}: {result.folder} accepted; {'; '.join(differences(result, state, results.fingerprinter))}")
    return True


def _all_proved(pairs: Sequence[tuple[State, Path | None]], results: Results, prover: Prover) -> bool:
    """Accept every result that can be proved; returns whether all finished runs are proved."""
    proved, finished, reasons = 0, 0, Counter[str]()
    for state, named in pairs:
        same = [] if state.counts else _same_input(state, named)
        why = ""
        for result in sorted(same, key=lambda r: str(r.content.get("finished", "")), reverse=True):
            try:
                proof = prover.prove(state, result)
                why = counts_for(proof, result) or ""
                if not why:
                    accept(state, result, results, "favit", proof.words, proof)
                    break
            except (Unacceptable, Unprovable, CodeChanged, OSError) as error:
                why = str(error)
        finished += bool(same)
        proved += bool(same) and not why
        if why:
            reasons[why] += 1
    for why, number in reasons.most_common():
        print(f"  {number} x {why}")
    if reasons:
        print("  If you know the change is harmless: favit accept RUN... --why REASON")
    print(f"{proved} of {finished} finished runs proved equal")
    return not reasons
