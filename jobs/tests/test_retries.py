"""What the next attempt of a failed job gets, and what is said of it: no more than is done."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake_executor_plugin_submitit import failure
from snakemake_executor_plugin_submitit.allocation.verdict import Verdict
from snakemake_executor_plugin_submitit.clusters.base import State
from snakemake_executor_plugin_submitit.resources import parameters
from snakemake_executor_plugin_submitit.retries import Retries, megabytes
from snakemake_executor_plugin_submitit.settings import ExecutorSettings

KILLED = State("OUT_OF_MEMORY", "7_0")


def ticket(asked: dict[str, Any], state: State = KILLED) -> Any:
    batch = SimpleNamespace(parameters=asked, verdict=lambda index: None)
    return SimpleNamespace(batch=batch, index=0, state=state, boot=[], task=SimpleNamespace(key="k"))


def job(retries: int = 1) -> Any:
    return SimpleNamespace(restart_times=retries, attempt=1)


@pytest.mark.parametrize(
    ("resources", "settings", "then", "says"),
    [
        ({"mem_mb": 100}, {}, {"mem": "250M"}, "retrying with 250 MB"),
        ({"mem_mb_per_cpu": 100}, {}, {"mem_per_cpu": "250M"}, "retrying with 250 MB for each CPU"),
        ({"mem_mb_per_cpu": 100, "mem_mb": 4000}, {}, {"mem_per_cpu": "250M"}, "retrying with 250 MB for each CPU"),
        ({}, {"mem": "2GB"}, {"mem": "5120M"}, "retrying with 5120 MB"),
        ({"mem_mb": 100}, {"mem": "2GB"}, {"mem": "250M"}, "retrying with 250 MB"),
        ({}, {}, {}, ""),
        ({"mem_mb": 0}, {}, {}, ""),  # the node's whole memory
        ({"mem_mb": 100, "slurm_extra": "--mem=300"}, {}, {"mem": "100M"}, ""),
        ({"mem_mb": 100, "slurm_extra": "--mem-per-gpu=300"}, {}, {"mem": "100M"}, ""),
    ],
)  # fmt: skip
def test_memory_grows_in_the_form_in_which_it_was_asked(
    resources: dict[str, Any], settings: dict[str, Any], then: dict[str, Any], says: str
) -> None:
    chosen, retries = ExecutorSettings(**settings), Retries(2.5)
    asked = parameters(resources, 1, chosen)
    assert retries.after_failure(job(), ticket(asked)) == says
    again = parameters(resources, 1, chosen, retries.memory_floor_mb("k"))
    assert {name: again.get(name) for name in ("mem", "mem_per_cpu") if again.get(name)} == then


def test_nothing_is_said_where_nothing_follows() -> None:
    asked = {"mem": "100M"}
    assert Retries(2).after_failure(job(retries=0), ticket(asked)) == "", "there is no other attempt"
    assert Retries(1).after_failure(job(), ticket(asked)) == "", "the factor adds nothing"
    assert Retries(2).after_failure(job(), ticket(asked, State("FAILED", "7_0"))) == ""
    cancelled = job()
    assert Retries(2).after_failure(cancelled, ticket(asked, State("CANCELLED", "7_0"))) == ""
    assert cancelled.attempt == 2, "it is not tried again"


def test_growth_goes_on_from_what_was_asked_last() -> None:
    retries = Retries(2)
    for more in (200, 400, 800):
        asked = parameters({"mem_mb": 100}, 1, ExecutorSettings(), retries.memory_floor_mb("k"))
        assert retries.after_failure(job(), ticket(asked)) == f"retrying with {more} MB"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("16GB", 16384), ("16G", 16384), ("200M", 200), ("4000", 4000), ("1.5g", 1536), ("2000K", 2), ("1T", 1048576),
     ("", 0), ("0", 0), (None, 0), ("much", 0)],
)  # fmt: skip
def test_megabytes(text: Any, expected: int) -> None:
    assert megabytes(text) == expected


GPU = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79 GiB"


@pytest.mark.parametrize(
    "line",
    [
        GPU,
        "RuntimeError: CUDA error: out of memory",
        "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "torch.OutOfMemoryError: HIP out of memory. Tried to allocate 2 GiB",
        "jaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8 bytes.",
        "failed to allocate 2.0GiB from device: CUDA_ERROR_OUT_OF_MEMORY: out of memory",
        "cupy_backends.cuda.api.runtime.CUDARuntimeError: cudaErrorMemoryAllocation: out of memory",
    ],
)
def test_a_gpus_memory_is_told(tmp_path: Path, line: str) -> None:
    """To SLURM the command is only FAILED; what follows the line, such as torchrun's report, hides it."""
    assert "FAILED - out of GPU memory" in block(tmp_path, f"{line}\n" + "a line of a report\n" * 40)


def test_another_starts_words_do_not_count(tmp_path: Path) -> None:
    text = f"{GPU}\n== run: job 8_0 on n1, start 1, later\nKeyError: 'x'\n"
    assert "out of GPU memory" not in block(tmp_path, text)
    assert "out of GPU memory" in block(
        tmp_path, f"KeyError: 'x'\n== run: job 8_0 on n1, start 1, later\n{GPU}\n"
    )


def test_the_nodes_memory_goes_before(tmp_path: Path) -> None:
    assert "OUT_OF_MEMORY - killed for using more memory" in block(tmp_path, f"{GPU}\n", KILLED)


def block(folder: Path, text: str, state: State | None = None) -> str:
    log = folder / "run.log"
    log.write_text(f"== run: job 7_0 on n1, start 1, now\n{text}")
    verdict = Verdict(1, "7_0", "n1", 0.0, 1.0, 1, 1024, False)
    return failure.block("run", verdict, state, [log], [])
