"""Where a run's processes are started: here, by torchrun, or by torchrun on each node of an allocation."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from favit.train.life import launch
from tests.conftest import ROOT

# Says who it is; waits to be told something, which it hears only after a while, as a program that is importing.
PROGRAM = """
import os, signal, sys, time
from pathlib import Path
from favit.train.life import launch

arguments = launch.launch(sys.argv[1:])
here, rank = Path(arguments[0]), os.environ.get("RANK", "alone")
status, patience = int(arguments[1]), float(arguments[2])
draft = here / f"draft-{rank}"
draft.write_text(f"{os.getpid()} {os.getppid()} {os.environ.get('WORLD_SIZE')}")
draft.rename(here / f"started-{rank}")
time.sleep(min(patience / 10, 2))

def told(number, _):
    (here / f"told-{rank}").write_text(signal.Signals(number).name)
    time.sleep(0.2)
    sys.exit(status)

for number in (signal.SIGUSR2, signal.SIGTERM):
    signal.signal(number, told)
(here / f"ready-{rank}").touch()
if patience:
    time.sleep(patience)
sys.exit(status)
"""


class Launched:
    """The program above under the launcher, with a stand-in for srun."""

    def __init__(self, folder: Path, *options: str, status: int = 0, patience: float = 0) -> None:
        self.folder = folder
        (folder / "program.py").write_text(PROGRAM)
        srun = folder / "srun"
        srun.write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT / "tests/train/fake_srun.py"} "$@"\n')
        srun.chmod(0o755)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        paths = {"PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
        environment = {**os.environ, **paths, "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
        words = ["program.py", *options, str(folder), str(status), str(patience)]
        self.process = subprocess.Popen([sys.executable, *words], cwd=folder, env=environment)

    def seen(self, what: str) -> dict[str, str]:
        """What the processes have written by their ranks."""
        return {path.name.partition("-")[2]: path.read_text() for path in self.folder.glob(f"{what}-*")}

    def until(self, what: str, processes: int) -> None:
        """Wait until so many have come so far."""
        end = time.monotonic() + 60
        while len(self.seen(what)) < processes:
            assert self.process.poll() is None and time.monotonic() < end, self.seen("started")
            time.sleep(0.02)


def test_it_is_up_at_once() -> None:
    code = "import sys, favit.train.life.launch, favit.train.life.__main__; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = {name for name in done.stdout.split() if name.startswith(("favit", "torch", "numpy"))}
    assert loaded == {"favit", "favit.train", "favit.train.life"} | {
        f"favit.train.life.{name}" for name in ("launch", "__main__")
    }


def test_alone_it_starts_nothing(tmp_path: Path) -> None:
    """Its options are taken out, wherever they stand, and this very process goes on."""
    assert launch.launch(["--nodes", "1", "--run", "x", "--processes=1", "--wait"]) == [
        "--run",
        "x",
        "--wait",
    ]
    launched = Launched(tmp_path, "--nodes", "1", "--processes", "1", status=7)
    assert launched.process.wait(30) == 7
    assert launched.seen("started") == {"alone": f"{launched.process.pid} {os.getpid()} None"}


@pytest.mark.parametrize(
    ("status", "ends"),
    [
        (5, 5),
        pytest.param(3, 3, marks=pytest.mark.slow),
        pytest.param(7, 1, marks=pytest.mark.slow),
    ],
)
def test_on_one_node_it_becomes_torchrun(tmp_path: Path, status: int, ends: int) -> None:
    """And torchrun's processes are the program itself, whose status it ends with where that has a meaning."""
    launched = Launched(tmp_path, "--processes", "2", status=status)
    assert launched.process.wait(60) == ends, "torchrun's own is 1 for whatever its processes end with"
    started = launched.seen("started")
    assert started.keys() <= {"0", "1"}, "one may have ended before the other was up"
    assert {tuple(said.split()[1:]) for said in started.values()} == {(str(launched.process.pid), "2")}


@pytest.mark.slow
def test_all_saved_what_they_have(tmp_path: Path) -> None:
    """Warned one by one, as whoever warns a job does: torchrun hears of no signal."""
    launched = Launched(tmp_path, "--processes", "2", status=4, patience=20)
    launched.until("ready", 2)
    for said in launched.seen("started").values():
        os.kill(int(said.split()[0]), signal.SIGUSR2)
    assert launched.process.wait(60) == 4


@pytest.mark.slow
def test_busy_on_several_nodes(tmp_path: Path) -> None:
    launched = Launched(tmp_path, "--nodes", "2", "--processes", "1", status=3)
    assert launched.process.wait(60) == 3


@pytest.mark.slow
def test_a_warning_goes_through_srun_and_past_torchrun(tmp_path: Path) -> None:
    """Also one that comes before the program can hear it."""
    launched = Launched(tmp_path, "--nodes", "2", "--processes", "1", patience=20)
    launched.until("started", 2)
    assert launched.seen("ready") == {}
    launched.process.send_signal(signal.SIGUSR2)
    launched.process.send_signal(signal.SIGTERM)  # everybody gets it; the launcher stays
    assert launched.process.wait(60) == 0
    assert launched.seen("told") == {"0": "SIGUSR2", "1": "SIGUSR2"}


@pytest.mark.parametrize(("script", "status"), [("exit 7", 7), ("kill -KILL $$", 137), ("exit 0", 0)])
def test_it_ends_as_the_command_ends(script: str, status: int) -> None:
    assert supervised(script).wait(30) == status


def test_a_warning_is_repeated_until_it_is_heard() -> None:
    """SIGTERM in between changes nothing."""
    process = supervised(
        "trap 'exit 5' USR1; echo up; while :; do sleep 0.05; done", "heard = iter([False, True])"
    )
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGUSR2)
    assert process.wait(30) == 5
    assert process.stdout.read() == "not yet\n"


def supervised(script: str, heard: str = "heard = iter([])") -> subprocess.Popen[str]:
    """A shell's script under the launcher, which warns it by SIGUSR1 once ``heard`` says so."""
    code = f"""
import os, signal, sys
from favit.train.life import launch
launch._WARN_AGAIN_S = 0.1
{heard}

def warn(pid):
    now = next(heard)
    os.kill(pid, signal.SIGUSR1) if now else print("not yet", flush=True)
    return now

sys.exit(launch.run(["bash", "-c", {script!r}], warn))
"""
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)
