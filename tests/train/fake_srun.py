"""srun as far as a launcher sees it: one task a node, each warned with all that it has started."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

HEARD = {signal.SIGUSR2, signal.SIGCHLD}


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *(found for child in children for found in family(int(child)))]
    return [pid]


def main() -> int:
    """Run the command of the arguments on so many nodes."""
    options = [word for word in sys.argv[1:] if word.startswith("--n") and "=" in word]
    command = sys.argv[1 + next(i for i, word in enumerate(sys.argv[1:]) if not word.startswith("-")) :]
    nodes = int(next(word for word in options if word.startswith("--nodes=")).partition("=")[2])
    signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)  # taken without a handler, as srun does
    tasks = [
        subprocess.Popen(
            command,
            env={**os.environ, "SLURM_NODEID": str(node)},
            preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD),
        )
        for node in range(nodes)
    ]
    while any(task.poll() is None for task in tasks):
        came = signal.sigtimedwait(HEARD, 0.2)
        if came is not None and came.si_signo == signal.SIGUSR2:
            for pid in (pid for task in tasks for pid in family(task.pid)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGUSR2)
    return max(task.returncode for task in tasks)


if __name__ == "__main__":
    sys.exit(main())
