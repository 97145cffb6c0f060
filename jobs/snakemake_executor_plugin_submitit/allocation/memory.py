"""Find out whether the kernel killed something of this allocation for want of memory."""

from __future__ import annotations

import contextlib
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def oom_kills() -> int:
    """Count out-of-memory kills in this process's cgroup and those around it (version 2 or 1)."""
    kills = 0
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, group = line.split(":", 2)
            if controllers == "":
                kills += _count(CGROUPS, group, "memory.events")
            elif "memory" in controllers.split(","):
                kills += _count(CGROUPS / "memory", group, "memory.oom_control")
    return kills


def _count(mount: Path, group: str, name: str) -> int:
    """Return the highest `oom_kill` from the process's group up to the step's or job's."""
    count, path = 0, mount / group.lstrip("/")
    while path != mount and any(part.startswith(("job_", "step_")) for part in path.parts):
        with contextlib.suppress(OSError):
            for line in (path / name).read_text().splitlines():
                key, _, value = line.partition(" ")
                if key == "oom_kill":
                    count = max(count, int(value))
        path = path.parent
    return count
