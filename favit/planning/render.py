"""The estimate as text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from favit.planning.costs import Outline, Row
from favit.planning.storage import DataStorage, Storage


def heading(what: Outline) -> str:
    """The first line: the sweep, the number of runs to train, and their devices."""
    layout = what.layout
    kind = "GPU" if layout.gpus else "CPU process"
    on = f"{layout.devices} {kind}{'s' if layout.devices > 1 else ''}"
    where = f" of {layout.nodes} nodes" if layout.nodes > 1 else ""
    return f"{what.sweep}: {what.missing} of {what.wanted} runs to train, each on {on}{where}"


def line(row: Row) -> str:
    """The line of a row: its runs and the cost of each."""
    if row.cost is None:
        return f"  {row.runs} x {row.label}: unknown, {row.why_unknown}"
    pace = row.cost.pace
    if math.isinf(pace.examples_per_second):
        return f"  {row.runs} x {row.label}: {pace.source}"
    memory = f" and about {size(pace.memory_bytes)} of memory per device" if pace.memory_bytes else ""
    each = f"{time(row.cost.hours)} each, {pace.examples_per_second:,.3g} examples/s per device{memory} ({pace.source})"
    return f"  {row.runs} x {row.label}: {each}"


def totals(what: Outline, rows: Sequence[Row]) -> Iterator[str]:
    """The sum over rows with known cost; nothing if no cost is known."""
    known = [(row.runs, row.cost) for row in rows if row.cost]
    if not known:
        return
    runs, hours = sum(n for n, _ in known), sum(n * cost.hours for n, cost in known)
    yield f"  {runs} runs: {time(hours)} one after another, {hours * what.layout.devices:,.1f} device hours"
    if what.layout.gpus and any(cost.pace.measured_on_cpu for _, cost in known):
        yield "  The runs will have GPUs, but a CPU was measured: ask again on a GPU, or once a run has finished"


def results(storage: Storage, keep: str) -> str:
    """The line about disk space of results and checkpoints."""
    return (
        f"  results: {size(storage.stays)} (keep: {keep}) and some hundred kB per run; checkpoints: up to "
        f"{size(storage.largest_run)} per run during training, {size(storage.all_at_once)} if all run at once"
    )


def data(storage: DataStorage) -> str:
    """The line about disk space of a data set."""
    name = storage.dataset
    if storage.size is None:
        return f"  data: {name}, not downloaded yet"
    taken = size(storage.size)
    if storage.form == "to be packed":
        return f"  data: {name}, about {taken} once packed, in addition to the original {taken}; not prepared yet"
    form = "" if storage.form == "as downloaded" else f" {storage.form}"
    return f"  data: {name}, {taken}{form}"


def size(n: float) -> str:
    """A number of bytes in kB, MB or GB."""
    unit, name = next(((u, name) for u, name in ((1e9, "GB"), (1e6, "MB")) if n >= u), (1e3, "kB"))
    return f"{n / unit:,.1f} {name}"


def time(hours: float) -> str:
    """A time in seconds, minutes, hours or days."""
    if hours >= 48:
        return f"{hours / 24:,.1f} d"
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{60 * hours:.1f} min" if hours >= 1 / 30 else f"{3600 * hours:.0f} s"
