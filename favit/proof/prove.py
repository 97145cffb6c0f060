"""Proofs for results: which pairs of codes have to be compared, what came of it, and for which results it counts.

A proof is of two snapshots, of settings without their seed, of data and of installed versions. It is kept below
``<results>/.proofs`` as soon as it is made, so that one that is interrupted goes on where it stopped. Free of torch.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from favit.disk.files import sha256_of, write_atomic
from favit.identity import snapshot
from favit.identity.closure import Closure, Reader
from favit.identity.definitions import Sources
from favit.identity.digests import short_digest
from favit.identity.versions import differing
from favit.proof import changes, coverage
from favit.results.state import Result, Results, State
from favit.sweeps.runs import Run

STEPS = 2  # of the first epoch; one more of the second, and one of the last
_PROBE = Path(__file__).with_name("probe.py")
_TIME_LIMIT_S = 3600
_OWN_SOURCE = [sha256_of(path) for path in sorted(Path(__file__).parent.glob("*.py"))]


class Unprovable(Exception):
    """Nothing can be proved; the message says why, in one line."""


@dataclass(frozen=True)
class Side:
    """One of the two codes: its snapshot, and the settings as it knows them. ``Unprovable`` for another layout."""

    folder: Path
    run: Mapping[str, Any]

    @functools.cached_property
    def code(self) -> Closure:
        """All files that its numbers may depend on, from the snapshot's own roots."""
        return Reader(root=self.folder.resolve()).closure(check_snapshot(self.folder))


@dataclass(frozen=True)
class Proof:
    """The outcome of running two codes: all numbers are equal, or the reasons why nothing is proved."""

    reasons: tuple[
        str, ...
    ]  # why it is none; empty where all numbers are equal and all that differs was executed
    device: str  # "cpu", or the name of the GPU
    steps: int
    snapshots: tuple[str, str]
    when: str

    @property
    def equal(self) -> bool:
        """Whether the numbers are proved equal."""
        return not self.reasons

    @property
    def why(self) -> str:
        """Why they are not, in short."""
        more = f" and {len(self.reasons) - 1} more" if self.reasons[1:] else ""
        return self.reasons[0] + more if self.reasons else ""

    @property
    def words(self) -> str:
        """The proof in words, for footnotes."""
        steps = f"{self.steps} steps and an evaluation equal to the bit on {self.device}"
        return f"proved: {steps}, {' and '.join(self.snapshots)}"


class Prover:
    """Proves results of one configuration; ``device`` is where its probes run, ``auto``: where a result was made."""

    def __init__(self, results: Results, data: Path, device: str, say: Any = print) -> None:
        self._results, self._data, self._device, self._say = results, data, device, say
        self._folder = results.root / ".proofs"
        self._known: dict[str, Proof | Unprovable] = {}

    def prove(self, state: State, result: Result) -> Proof:
        """A proof that today's code gives this result's numbers. Raises ``Unprovable``.

        Where the result was accepted before, it is enough that today's code equals the one it was accepted for.
        """
        then = result.fingerprint.get("versions") or {}
        for package, before, now in differing(then, state.fingerprint.versions, state.fingerprint.policy):
            raise Unprovable(
                f"{package} {before} -> {now} cannot be proved: only one of the versions is installed"
            )
        if state.run.settings.get("compile"):
            raise Unprovable("compiled code cannot be traced")
        new = self._today(state.run)
        reasons = []
        for name in [*(str(r.get("snapshot")) for r in reversed(result.accepted) if r.get("snapshot")), None]:
            try:
                proof = self._proof(self._old(result, name), new, state, self._device_of(result))
            except Unprovable as error:
                reasons.append(str(error))
                continue
            if proof.equal:
                return proof
            reasons.append(proof.why)
        raise Unprovable(reasons[0] if reasons else "no result to compare with")

    def _today(self, run: Run) -> Side:
        fingerprinter = self._results.fingerprinter
        program, code = fingerprinter.program(run), fingerprinter.code(run)
        return Side(snapshot.keep(program, code, self._results.root, fingerprinter.reader), run.settings)

    def _old(self, result: Result, accepted: str | None) -> Side:
        name = accepted or str(result.content.get("snapshot"))
        folder = snapshot.folder_of(name, self._results.root)
        if not name or not folder.is_dir():
            raise Unprovable(
                "its snapshot is missing"
                if result.content.get("snapshot")
                else "its result names no snapshot"
            )
        return Side(folder, result.content["run"])

    def _device_of(self, result: Result) -> str:
        """Where to run its codes: where it was made, if such a device is here."""
        made = (result.content.get("hardware") or {}).get("device", "cpu")
        if self._device in ("cpu", "cuda"):
            return self._device
        return "cuda" if made == "cuda" and gpu_here() else "cpu"

    def _proof(self, old: Side, new: Side, state: State, device: str) -> Proof:
        kind = gpu_here() if device == "cuda" else device
        made_of = [self._identity(old), self._identity(new), state.fingerprint.as_dict()["data"]]
        key = short_digest([*made_of, dict(state.fingerprint.versions), kind, STEPS, _OWN_SOURCE])
        if key not in self._known:
            self._known[key] = self._kept(key) or self._made(key, old, new, state, device)
        found = self._known[key]
        if isinstance(found, Unprovable):
            raise found
        return found

    def _identity(self, side: Side) -> list[Any]:
        settings = {name: value for name, value in side.run.items() if name != "seed"}
        return [side.code.digest, settings]

    def _kept(self, key: str) -> Proof | None:
        try:
            content = json.loads((self._folder / f"{key}.json").read_text())
            return Proof(**{**content, **{key: tuple(content[key]) for key in ("reasons", "snapshots")}})
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _made(self, key: str, old: Side, new: Side, state: State, device: str) -> Proof | Unprovable:
        began = datetime.now(UTC)
        try:
            proof = compare(old, new, state.run.task, self._data, device)
        except Unprovable as error:
            self._say(f"{state.run['dataset']} {state.run.name}: cannot be proved: {error}")
            return error
        write_atomic(self._folder / f"{key}.json", json.dumps(asdict(proof), indent=1) + "\n")
        seconds = (datetime.now(UTC) - began).total_seconds()
        said = "equal to the bit" if proof.equal else f"not proved: {proof.why}"
        self._say(f"{state.run['dataset']} {state.run.name}: {said} ({proof.device}, {seconds:.0f} s)")
        return proof


@functools.cache
def gpu_here() -> str | None:
    """The name of this machine's first GPU; None without one. Asked of another process, as torch is slow to import."""
    ask = "import torch; print(torch.cuda.get_device_name(0) if torch.cuda.is_available() else '')"
    done = subprocess.run([sys.executable, "-P", "-c", ask], capture_output=True, text=True)
    return done.stdout.strip() or None


def counts_for(proof: Proof, result: Result) -> str | None:
    """Why a proof does not count for a result that was made on another kind of device; None if it does."""
    made = result.content.get("hardware") or {}
    device = (made.get("gpus") or [made.get("device", "unknown")])[0]
    processes = made.get("processes", 1)
    if device != proof.device:
        where = "a CPU" if proof.device == "cpu" else f"a {proof.device}"
        return f"proved on {where} only, but made on {device}"
    return f"proved with one process only, but made with {processes}" if processes != 1 else None


def check_snapshot(folder: Path) -> list[str]:
    """The roots of a snapshot's code; ``Unprovable`` for one of another layout, or that was edited."""
    try:
        facts = json.loads((folder / snapshot.FACTS).read_text())
        files, roots = dict(facts["files"]), [str(root) for root in facts["roots"]]
    except (OSError, ValueError, KeyError, TypeError):
        raise Unprovable(f"{folder} has an older layout of snapshots") from None
    for path in sorted(folder.rglob("*.py")):
        name = str(path.relative_to(folder))
        if name != "__main__.py" and name not in files:
            raise Unprovable(f"{path} was added to a snapshot")
    for name, digest in files.items():
        if not (folder / name).is_file() or sha256_of(folder / name) != digest:
            raise Unprovable(f"{folder / name} was edited after the snapshot was taken")
    return roots


def compare(old: Side, new: Side, task: str, data: Path, device: str) -> Proof:
    """Run both codes and compare them. Raises ``Unprovable`` if one of them does not come to its end."""
    readers = [Reader(root=side.folder.resolve()) for side in (old, new)]
    every = [changes.statements(side.code, reader) for side, reader in zip((old, new), readers, strict=True)]
    wanted = [
        changes.reached(those, Sources(reader.root).code(side.code.roots), reader)
        for those, side, reader in zip(changes.changed(*every), (old, new), readers, strict=True)
    ]
    answers = []
    for side, reader, statements, word in zip(
        (old, new), readers, wanted, ("the result's", "today's"), strict=True
    ):
        files = changes.files({s.module for s in statements}, reader)
        answer = _run(side, task, data, device, list(map(str, files.values())))
        if "error" in answer:
            raise Unprovable(f"{word} code fails: {answer['error']}")
        answers.append((answer, files))
        check_snapshot(side.folder)
    unequal = _unequal(*(answer["numbers"] for answer, _ in answers))
    reasons = (
        [f"{unequal[0]} differs" + (f", and {len(unequal) - 1} more" if unequal[1:] else "")]
        if unequal
        else []
    )
    for side, (answer, files), statements, others in zip((old, new), answers, wanted, every, strict=True):
        found = {
            name: coverage.executed(path, answer["arcs"].get(str(path), {})) for name, path in files.items()
        }
        reasons += list(coverage.not_proved(statements, found, side.run, others, changes.callers(side.code)))
    return Proof(
        reasons=tuple(dict.fromkeys(reasons)), device=answers[0][0]["kind"], steps=STEPS + 2,
        snapshots=(old.folder.name, new.folder.name),
        when=datetime.now(UTC).isoformat(timespec="seconds"),
    )  # fmt: skip


def _unequal(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    return [name for name in {**one, **other} if one.get(name) != other.get(name)]


def _run(side: Side, task: str, data: Path, device: str, trace: list[str]) -> dict[str, Any]:
    """The answer of a process of its own that runs one code."""
    request = {
        "root": str(side.folder.resolve()), "run": dict(side.run), "task": task, "data": str(data.resolve()),
        "device": device, "steps": STEPS, "trace": trace,
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="favit-proof-") as scratch:
        asked, answer = Path(scratch, "request.json"), Path(scratch, "answer.json")
        asked.write_text(json.dumps(request))
        one_thread = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
        environment = {**os.environ, **one_thread, "PYTHONPYCACHEPREFIX": str(Path(scratch, "compiled"))}
        for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "FAVIT_SNAPSHOT"):
            environment.pop(name, None)
        command = [sys.executable, "-P", str(_PROBE), str(asked), str(answer)]
        try:
            done = subprocess.run(
                command, cwd=scratch, env=environment, capture_output=True, text=True, timeout=_TIME_LIMIT_S
            )
        except subprocess.TimeoutExpired:
            return {"error": f"a timeout after {_TIME_LIMIT_S / 60:.0f} minutes"}
        try:
            return dict(json.loads(answer.read_text()))
        except (OSError, ValueError):
            last = (done.stderr.strip().splitlines() or [""])[-1]
            return {"error": f"exit status {done.returncode}: {last[:200]}"}
