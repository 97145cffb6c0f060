"""Plain text as LaTeX, and the column types that siunitx needs."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "±": r"$\pm$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "\N{MINUS SIGN}": "$-$",
    "\N{EN DASH}": "--",
    "\N{EM DASH}": "---",
    "\N{NO-BREAK SPACE}": "~",
    "“": "``",
    "”": "''",
    "’": "'",
    "‘": "`",
    "…": r"\ldots{}",
}


def escape(text: str) -> str:
    """Text that any LaTeX prints as it stands. A character that pdfLaTeX lacks is shown as its code point.

    A percent sign stays on the line of its number.
    """
    return "".join(_character(c) for c in re.sub(r"(?<=\d) %", "\N{NO-BREAK SPACE}%", text))


def _character(c: str) -> str:
    if c in _SPECIAL:
        return _SPECIAL[c]
    if c.isascii():
        return c if c.isprintable() else " "
    name = unicodedata.name(c, "")
    if name and ("Α" <= c <= "Ω" or "α" <= c <= "ω"):
        return _greek(name)
    if _accented(c) or c in "ßæøåœÆØÅŒłŁ°§":
        return c
    folded = unicodedata.normalize("NFKD", c)
    return folded if folded.isascii() and folded.isprintable() else f"[U+{ord(c):04X}]"


def _accented(c: str) -> bool:
    """A Western letter with an accent, which LaTeX knows in any font encoding."""
    parts = unicodedata.normalize("NFD", c)
    return ord(c) < 0x180 and len(parts) == 2 and parts[0].isascii() and parts[1] not in _NO_ACCENTS


_NO_ACCENTS = "\u0328"  # the ogonek, which the default font encoding lacks


# Capitals that look like Latin ones have no command of their own.
_LATIN_LOOKING = dict(
    zip(
        [
            "ALPHA",
            "BETA",
            "EPSILON",
            "ZETA",
            "ETA",
            "IOTA",
            "KAPPA",
            "MU",
            "NU",
            "OMICRON",
            "RHO",
            "TAU",
            "CHI",
        ],
        "ABEZHIKMNOPTX",
        strict=True,
    )
)


def _greek(name: str) -> str:
    letter = name.rsplit(" ", 1)[-1].replace("LAMDA", "LAMBDA")
    if letter == "OMICRON" and "SMALL" in name:
        return "$o$"
    if "CAPITAL" in name:
        return f"${_LATIN_LOOKING[letter]}$" if letter in _LATIN_LOOKING else f"$\\{letter.capitalize()}$"
    return "$\\varsigma$" if "FINAL" in name else f"$\\{letter.lower()}$"


def number_column(numbers: Sequence[str], pre: str = "", post: str = "") -> str:
    """Type of a siunitx column that these numbers fit, with room for the widest text before and after."""
    whole = max((len(n.lstrip("+-").partition(".")[0]) for n in numbers), default=1)
    decimals = max((len(n.partition(".")[2]) for n in numbers), default=0)
    sign = next((s for s in "+-" if any(n.startswith(s) for n in numbers)), "")
    options = [f"table-format={sign}{whole}.{decimals}"]
    if pre:
        options.append(f"table-space-text-pre={{{pre}}}")
    if post:
        options.append(f"table-space-text-post={{{post}}}")
    return f"S[{','.join(options)}]"
