"""Submit a script such that its options hold, whatever the user's environment says."""

from __future__ import annotations

import re
import shlex
from itertools import takewhile
from pathlib import Path

from ..allocation.clients import NoAnswer, call

DIRECTIVE = "#SBATCH "


def sbatch(script: Path) -> str:
    """Submit a script and return the job's id. Raises NoAnswer.

    Its options are given as arguments, too: variables such as SBATCH_PARTITION overrule those in a script.
    """
    head = takewhile(lambda line: not line or line.startswith("#"), script.read_text().splitlines())
    lines = [line.removeprefix(DIRECTIVE) for line in head if line.startswith(DIRECTIVE)]
    options = [word for line in lines for word in shlex.split(line)]
    answer = call("sbatch", *options, str(script), timeout=120)
    if (found := re.search(r"^Submitted batch job (\d+)", answer, re.MULTILINE)) is None:
        raise NoAnswer(f"sbatch returned no job id: {answer.strip()!r}")
    return found[1]
