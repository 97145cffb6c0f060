"""`fake_slurm.py FOLDER TOOL ARGUMENTS`: as much of SLURM's clients as the executor uses.

Tasks run at once, on this machine, in the background. What goes wrong is read from FOLDER/TOOL.wrong,
one line a call: `error TEXT` fails with that text, `lost` does its work and then fails as if the answer
had got lost, `kill-before` and `kill-after` kill the caller (the main process) instead of answering.
"""

import getpass
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

folder, tool, arguments = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]


def next_wrong() -> str:
    path = folder / f"{tool}.wrong"
    lines = path.read_text().splitlines() if path.exists() else []
    path.write_text("\n".join(lines[1:]))
    return lines[0] if lines else ""


def queued() -> int:
    return sum(alive(pid) for _, _, pid, _ in tasks())


def check_limit(count: int) -> None:
    """FOLDER/limit holds how many tasks may be in the queue, and the words in which more are refused."""
    path = folder / "limit"
    limit, _, words = path.read_text().partition(" ") if path.exists() else ("1000000", "", "")
    if queued() + count > int(limit):
        sys.exit(words)


def sbatch() -> str:
    if "--test-only" in arguments:
        return ""
    script = Path(arguments[-1]).read_text()
    options = dict(re.findall(r"#SBATCH --([\w-]+)=(.*)", script))
    count = int(options.get("array", "0-0").partition("-")[2].partition("%")[0]) + 1
    check_limit(count)
    job = 100 + len(list((folder / "jobs").glob("*"))) if (folder / "jobs").exists() else 100
    (folder / "jobs" / str(job)).mkdir(parents=True)
    (folder / "jobs" / str(job) / "script").write_text(arguments[-1])
    for index in range(count):
        name = {
            "SLURM_ARRAY_JOB_ID": str(job),
            "SLURM_ARRAY_TASK_ID": str(index),
            "SLURM_JOB_ID": f"{job}{index}",
        }
        if "array" not in options:
            name = {"SLURM_JOB_ID": str(job)}
        output = open(options["output"].replace("%A", str(job)).replace("%a", str(index)), "ab")  # noqa: SIM115, PTH123
        task = subprocess.Popen(
            ["bash", arguments[-1]], env=os.environ | name, stdout=output, stderr=output, stdin=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        (folder / "jobs" / str(job) / str(index)).write_text(str(task.pid))
    return f"Submitted batch job {job}"


def tasks() -> list[tuple[str, str, int, str]]:
    found = []
    for job in sorted((folder / "jobs").glob("*")):
        for task in job.glob("[0-9]*"):
            found.append((job.name, task.name, int(task.read_text()), (job / "script").read_text()))
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def squeue() -> str:
    rows = []
    for job, index, pid, script in tasks():
        ended = folder / "jobs" / job / f"ended{index}"
        state = ended.read_text() if ended.exists() else "RUNNING" if alive(pid) else "COMPLETED"
        rows.append(f"{job}|{index}|{state}|here|None|0:01|{script}")
    return "\n".join(rows)


def scancel() -> str:
    if "--state=PENDING" in arguments:
        return ""  # everything starts at once
    for job, index, pid, _ in tasks():
        if "--signal=INT" in arguments:
            if job in arguments and alive(pid):
                os.kill(pid, signal.SIGINT)
        elif {job, f"{job}_{index}"} & set(arguments) and alive(pid):
            (folder / "jobs" / job / f"ended{index}").write_text("CANCELLED")
            os.killpg(pid, signal.SIGTERM)
    return ""


def associations() -> str:
    """FOLDER/tells_limit lets the controller tell the limit, else it tells of none."""
    path = folder / "tells_limit"
    limit = (folder / "limit").read_text().split()[0] if path.exists() else ""
    told = f"{limit}({queued()})" if limit else ""
    return (
        f"ClusterName=c Account=lab UserName={getpass.getuser()}(0) Partition= Priority=0 ID=5\n"
        f"    ParentAccount= Lft=3 DefAssoc=Yes\n    MaxJobs= MaxJobsAccrue= MaxSubmitJobs={told} MaxWallPJ=\n"
    )


def scontrol() -> str:
    """FOLDER/alloc_nodes holds from where jobs may be submitted."""
    if "config" in arguments:
        return "MaxArraySize            = 8"
    if "hostnames" in arguments:
        return "\n".join(arguments[-1].split(","))
    if "partition" in arguments:
        path = folder / "alloc_nodes"
        allowed = path.read_text() if path.exists() else "ALL"
        return f"PartitionName=small Default=YES AllocNodes={allowed} Nodes=here,there\n"
    return associations()


ANSWERS = {
    "sbatch": sbatch,
    "squeue": squeue,
    "scancel": scancel,
    "scontrol": scontrol,
    "sacct": lambda: "",
    "sinfo": lambda: "small*|1:00:00|3|16|64000|(null)\nbig|2-00:00:00|4|64|512000|gpu:a100:4(S:0-1)",
    "sacctmgr": lambda: "lab" if "user" in arguments else "lab|normal\nguests|normal",
}

with (folder / "calls").open("a") as log:
    log.write(f"{tool} {' '.join(arguments)}\n")
wrong = next_wrong()
if wrong == "kill-before":
    os.kill(os.getppid(), signal.SIGKILL)
    sys.exit(0)
if wrong.startswith("error "):
    sys.exit(wrong.removeprefix("error "))
answer = ANSWERS[tool]()
if wrong == "kill-after":
    os.kill(os.getppid(), signal.SIGKILL)
elif wrong == "lost":
    sys.exit("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation")
else:
    print(answer)
