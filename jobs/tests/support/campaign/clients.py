"""SLURM's clients, first on PATH, that go wrong when they are told to; else they are the real ones."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

TOOLS = ("sbatch", "squeue", "sacct", "scontrol", "scancel")
# fail: no contact. hang: the answer comes late. silent: none comes, after a while. lose: done, but nobody is told.
WAYS = ("fail", "hang", "silent", "lose")

# An order is a file TOOL.NUMBER; a call takes it by renaming it, so that each order spoils one call.
WRAPPER = """\
#!/bin/sh
for order in {folder}/orders/{tool}.*; do
  mine={folder}/taken.$$
  mv "$order" "$mine" 2>/dev/null || continue
  read -r way seconds < "$mine"
  rm -f "$mine"
  case $way in
    hang) sleep "$seconds" >/dev/null 2>&1 ;;
    silent) sleep "$seconds" >/dev/null 2>&1 ;;
    lose) {real} "$@" >/dev/null 2>&1 ;;
  esac
  case $way in
    fail) echo "{tool}: error: Unable to contact slurm controller (connect failure)" >&2; exit 1 ;;
    silent|lose) echo "{tool}: error: Socket timed out on send/recv operation" >&2; exit 1 ;;
  esac
  break
done
exec {real} "$@"
"""


class Clients:
    """A folder of wrappers, and the orders that make them go wrong."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "orders").mkdir(parents=True)
        (folder / "bin").mkdir()
        self._count = 0
        for tool in TOOLS:
            wrapper = folder / "bin" / tool
            wrapper.write_text(WRAPPER.format(folder=folder, tool=tool, real=shutil.which(tool)))
            wrapper.chmod(0o755)

    def order(self, tool: str, way: str, seconds: float) -> None:
        """Make one call of the tool go wrong."""
        self._count += 1
        (self.folder / "orders" / f"{tool}.{self._count}").write_text(f"{way} {seconds}\n")

    def forget(self) -> None:
        """Take back the orders that no call has met."""
        for path in (self.folder / "orders").iterdir():
            path.unlink(missing_ok=True)


def draw_trouble(draw: random.Random) -> tuple[str, str, float, int]:
    """Draw a tool, a way to go wrong, for how many seconds, and how many calls."""
    tool = draw.choices(TOOLS, [3, 3, 1, 3, 1])[0]
    return tool, draw.choice(WAYS), round(draw.uniform(1, 6), 1), draw.randint(1, 3)
