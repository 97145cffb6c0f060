"""Put a question to a module of this room in a process of its own, which imports torch; whoever asks does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from favit.identity.closure import ROOT


def ask(module: str, question: Any) -> subprocess.CompletedProcess[str]:
    """Run ``python -m module`` of this checkout with a question, as JSON, on its standard input; what it said."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-m", module],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def last_words(done: subprocess.CompletedProcess[str], otherwise: str) -> str:
    """The last line of a process's errors, which says why it failed."""
    return (done.stderr.strip().splitlines() or [otherwise])[-1]
