"""Costs as text for people."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from favit.planning.costs import Outline, Row
from favit.planning.storage import DataStorage, Storage


def heading(what: Outline) -> str:
    """The sweep, what there is to train, and on what."""
    layout = what.layout
    kind = "GPU" if layout.gpus else "CPU process"
    on = f"{layout.devices} {kind}{'s' if layout.devices > 1 else ''}"
    where = f" of {layout.nodes} nodes" if layout.nodes > 1 else ""
    return f"{what.sweep}: {what.missing} of {what.wanted} runs to train, each on {on}{where}"


def line(row: Row) -> str:
    """A row's runs, and what each takes."""
    if row.cost is None:
        return f"  {row.runs} x {row.label}: unknown, {row.why_unknown}"
    pace = row.cost.pace
    if math.isinf(pace.examples_per_second):
        return f"  {row.runs} x {row.label}: {pace.source}"
    memory = f" and about {size(pace.memory_bytes)} of memory a device" if pace.memory_bytes else ""
    each = f"{time(row.cost.hours)} each, {pace.examples_per_second:,.3g} examples/s a device{memory} ({pace.source})"
    return f"  {row.runs} x {row.label}: {each}"


def totals(what: Outline, rows: Sequence[Row]) -> Iterator[str]:
    """The rows together, as far as their cost is known; nothing where it is known of none."""
    known = [(row.runs, row.cost) for row in rows if row.cost]
    if not known:
        return
    runs, hours = sum(n for n, _ in known), sum(n * cost.hours for n, cost in known)
    yield f"  {runs} runs: {time(hours)} one after the other, {hours * what.layout.devices:,.1f} device hours"
    if what.layout.gpus and any(cost.pace.measured_on_cpu for _, cost in known):
        yield "  They will have GPUs and this was a CPU: ask again where there is one, or once a run has finished"


def results(storage: Storage, keep: str) -> str:
    """What the runs leave, and what they take while they train."""
    return (
        f"  results: {size(storage.stays)} (keep: {keep}), some hundred kB a run besides; checkpoints up to "
        f"{size(storage.largest_run)} a run while it trains, {size(storage.all_at_once)} if all do at once"
    )


def data(storage: DataStorage) -> str:
    """What a data set takes."""
    name = storage.dataset
    if storage.size is None:
        return f"  data: {name}, not here yet"
    taken = size(storage.size)
    if storage.form == "to be packed":
        return f"  data: {name}, about {taken} packed, beside the {taken} that it is packed from; not prepared here yet"
    form = "" if storage.form == "as downloaded" else f" {storage.form}"
    return f"  data: {name}, {taken}{form}"


def size(n: float) -> str:
    """Bytes in the unit that suits them."""
    unit, name = next(((u, name) for u, name in ((1e9, "GB"), (1e6, "MB")) if n >= u), (1e3, "kB"))
    return f"{n / unit:,.1f} {name}"


def time(hours: float) -> str:
    """Hours in the unit that suits them."""
    if hours >= 48:
        return f"{hours / 24:,.1f} d"
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{60 * hours:.1f} min" if hours >= 1 / 30 else f"{3600 * hours:.0f} s"
