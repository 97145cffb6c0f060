"""The contract of encodings; ``favit/encodings/__init__.py`` has it in words."""

from __future__ import annotations

from typing import Any

import torch

from favit.components import registry
from favit.components.flags import check_flags, flag

DIM = 8


def states_its_flags_plainly(name: str) -> None:
    """Its flags (``IMAGES``, ``SERIES``, ``TIME``, ``ADDS_POSITION``) are True or False."""
    check_flags("encodings", name)
    assert flag("encodings", name, "IMAGES") or flag("encodings", name, "SERIES"), (
        "neither IMAGES nor SERIES is True"
    )


def gives_a_vector_for_each_step(name: str) -> None:
    """``encoding(length)`` gives (length, dim), also for other lengths than it was built for."""
    if flag("encodings", name, "SERIES"):
        for length in (1, 2, 9, 13):
            table = _make(name, length=9)(length)
            assert table.shape == (length, DIM), f"{length} steps give {tuple(table.shape)}"
            assert table.isfinite().all(), "it is not finite"


def gives_a_vector_for_each_place(name: str) -> None:
    """``encoding(rows, cols)`` gives (rows * cols, dim), also for other sizes than it was built for."""
    if flag("encodings", name, "IMAGES"):
        for rows, cols in ((1, 1), (3, 5), (4, 4)):
            table = _make(name, grid=(3, 5))(rows, cols)
            assert table.shape == (rows * cols, DIM), f"{rows} x {cols} give {tuple(table.shape)}"
            assert table.isfinite().all(), "it is not finite"


def refuses_lengths_that_make_no_sense(name: str) -> None:
    """No length, a length of 0 and three lengths are a ``ValueError``."""
    size: dict[str, Any] = {"length": 4} if flag("encodings", name, "SERIES") else {"grid": (2, 2)}
    encoding = _make(name, **size)
    for lengths in ((), (0,), (2, 2, 2)):
        try:
            encoding(*lengths)
        except ValueError:
            continue
        raise AssertionError(f"encoding{lengths} raises no ValueError")


def repeats_itself(name: str) -> None:
    """Calling it draws no random numbers and repeats itself."""
    on_series = flag("encodings", name, "SERIES")
    encoding = _make(name, length=6) if on_series else _make(name, grid=(2, 3))
    before = torch.get_rng_state()
    tables = [encoding(6) if on_series else encoding(2, 3) for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), before), "it draws from torch's global generator"
    assert torch.equal(*tables), "a second call gives a different result"


def stays_on_its_device(name: str) -> None:
    """Its vectors are on the device of its parameters and buffers, as on a GPU or the meta device."""
    if not flag("encodings", name, "ADDS_POSITION"):
        return  # models skip it
    on_series = flag("encodings", name, "SERIES")
    encoding = (_make(name, length=6) if on_series else _make(name, grid=(2, 3))).to("meta")
    for table in (encoding(6), encoding(3)) if on_series else (encoding(2, 3), encoding(3, 4)):
        assert table.device.type == "meta", (
            f"they are on {table.device}; create them on the device of a buffer"
        )


def adds_nothing_where_it_says_so(name: str) -> None:
    """With ``ADDS_POSITION = False`` its vectors are zero; otherwise places differ."""
    if not flag("encodings", name, "SERIES"):
        return
    encoding = _make(name, length=5)
    with torch.no_grad():
        for parameter in encoding.parameters():
            parameter.copy_(torch.randn_like(parameter))  # whatever it learns; its first values may be zero
        table = encoding(5)
    if not flag("encodings", name, "ADDS_POSITION"):
        assert table.count_nonzero() == 0, "ADDS_POSITION is False, but its vectors are not zero"
    else:
        assert len(table.unique(dim=0)) > 1, "all steps have the same vector; set ADDS_POSITION = False"


CHECKS = (
    states_its_flags_plainly,
    gives_a_vector_for_each_step,
    gives_a_vector_for_each_place,
    refuses_lengths_that_make_no_sense,
    repeats_itself,
    stays_on_its_device,
    adds_nothing_where_it_says_so,
)
SLOW = ()


def _make(name: str, **size: Any) -> Any:
    return registry.load("encodings", name).Encoding(DIM, **size)
