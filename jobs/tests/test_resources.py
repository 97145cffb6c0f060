"""Resources and settings to sbatch parameters; names of jobs."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake_executor_plugin_submitit.labels import array_label, filled, job_label
from snakemake_executor_plugin_submitit.resources import parameters, with_nested
from snakemake_executor_plugin_submitit.settings import POLL_FLOOR_VARIABLE, ExecutorSettings
from snakemake_interface_common.exceptions import ApiError, WorkflowError


@pytest.mark.parametrize(
    ("resources", "settings", "expected"),
    [
        ({}, {}, {"cpus_per_task": 3, "nodes": 1}),
        ({"runtime": 90, "mem_mb": 4000}, {}, {"time": 90, "mem": "4000M"}),
        ({"mem_mb_per_cpu": 500, "mem_mb": 9}, {}, {"mem_per_cpu": "500M"}),
        ({"slurm_partition": "a", "slurm_account": "x"}, {"partition": "b"}, {"partition": "a", "account": "x"}),
        ({}, {"partition": "b", "time": 7, "mem": "2GB"}, {"partition": "b", "time": 7, "mem": "2GB"}),
        ({"gpu": 2}, {}, {"gpus_per_node": 2}),
        ({"gpu": 2, "gpu_model": "a100"}, {}, {"gres": "gpu:a100:2"}),
        ({"gres": "gpu:h100:4"}, {"gpus": 1}, {"gres": "gpu:h100:4"}),
        ({"gpu": 0}, {"gpus": 1}, {"gpus_per_node": None, "gres": None}),
        ({}, {"gpus": 1}, {"gpus_per_node": 1}),
        ({"nodes": 2, "tasks": 4, "cpus_per_task": 6}, {}, {"nodes": 2, "ntasks_per_node": 4, "cpus_per_task": 6}),
        ({"constraint": "a&b", "exclude": "n1"}, {"qos": "q"}, {"constraint": "a&b", "exclude": "n1", "qos": "q"}),
        ({"slurm_extra": "--nice=5"}, {"extra": "--nice=1 --hold"},
         {"additional_parameters": {"nice": "5", "hold": True}}),
        ({}, {"setup": "module load cuda;; . env.sh"}, {"setup": ["module load cuda", ". env.sh"]}),
        ({"why": "because", "my_license": 1, "mem": "4 GB", "disk_mb": 7, "tmpdir": "<TBD>"}, {}, {"nodes": 1}),
        ({"runtime": "<TBD>"}, {"time": 9}, {"time": 9}),
    ],
)  # fmt: skip
def test_parameters(resources: dict[str, Any], settings: dict[str, Any], expected: dict[str, Any]) -> None:
    found = parameters(resources, 3, ExecutorSettings(**settings))
    assert {name: found.get(name) for name in expected} == expected


def test_memory_floor_raises_the_request_only() -> None:
    assert parameters({"mem_mb": 100}, 1, ExecutorSettings(), 300)["mem"] == "300M"
    assert parameters({"mem_mb": 400}, 1, ExecutorSettings(), 300)["mem"] == "400M"


@pytest.mark.parametrize(
    ("resources", "says"),
    [
        ({"slurm_partiton": "x"}, "did you mean slurm_partition"),
        ({"slurm_licence": "x"}, "valid: slurm_partition, slurm_account"),
        ({"run_time": 3}, "did you mean runtime"),
        ({"runtime": "soon"}, "whole number"),
        ({"gpu": -1}, "whole number"),
        ({"gpu": 1, "gres": "gpu:1"}, "not both"),
        ({"gpu_model": "a100"}, "needs gpu"),
        ({"gres": "two gpus"}, "name:number"),
        ({"slurm_extra": "-p x"}, "--name=value"),
        ({"clusters": "other"}, "SLURM_CONF"),
    ],
)
def test_wrong_resources(resources: dict[str, Any], says: str) -> None:
    with pytest.raises(WorkflowError, match=says):
        parameters(resources, 1, ExecutorSettings())


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"cluster": "slrum"}, "not one of slurm, local, debug"),
        ({"busy_exit_codes": "three"}, "numbers from 1 to 125"),
        ({"busy_exit_codes": "0"}, "numbers from 1 to 125"),
        ({"extra": "nice"}, "--name=value"),
        ({"memory_factor": 0.5}, "at least 1"),
        ({"heartbeat_s": 0}, "more than 0"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ApiError, match=says):
        ExecutorSettings(**settings)


def test_nobody_polls_faster_than_the_administrator_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ExecutorSettings(poll_s=0.1).poll_floor() == 5
    monkeypatch.setenv(POLL_FLOOR_VARIABLE, "30")
    assert ExecutorSettings(poll_s=10).poll_floor() == 30


def job(rule: str, wildcards: dict[str, str], **resources: str) -> Any:
    return SimpleNamespace(
        is_group=lambda: False, rule=SimpleNamespace(name=rule), wildcards_dict=wildcards, resources=resources
    )


def test_names_of_jobs_and_arrays() -> None:
    plain = job("train", {"model": "b0", "path": "a/b c"})
    assert re.fullmatch(r"train\.b0\.a_b_c-\w{6}", job_label(plain)) and array_label(plain) == "train"
    named = job("train", {}, job_label="favit_b0.probsparse.none.seed0", array_label="demo.train")
    assert job_label(named) == "favit_b0.probsparse.none.seed0" and array_label(named) == "demo.train"
    assert re.fullmatch(r"_|job-\w{6}|_-\w{6}", job_label(job("a", {}, job_label="../.."))), "never a path"
    filled_in = job(
        "train", {"model": "b0", "seed": "3"}, job_label="{model}.seed{seed}.{none}", progress="a/{model}/*"
    )
    assert job_label(filled_in).startswith("b0.seed3._none-"), "what is no wildcard stays"
    assert filled(filled_in, "progress") == "a/b0/*" and filled(filled_in, "array_label") is None


@pytest.mark.parametrize(
    ("one", "other"),
    [("a/b", "a_b"), ("a b", "a_b"), ("x" * 120 + "1", "x" * 120 + "2"), (".a", "a"), ("猫" * 90, "猫" * 91)],
)
def test_labels_that_differ_stay_apart(one: str, other: str) -> None:
    names = [job_label(job("a", {}, job_label=text)) for text in (one, other)]
    assert len(set(names)) == 2 and all(len(f"{name}.log".encode()) < 255 for name in names)


@pytest.mark.parametrize("option", ["--array=1-3", "--clusters=other", "--wrap=true", "--signal=9@10"])
def test_options_that_are_the_executors_are_refused(option: str) -> None:
    with pytest.raises(ApiError, match=option.partition("=")[0]):
        ExecutorSettings(extra=f"--nice=1 {option}")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"mem": "200M"}, {"mem": "325M"}),
        ({"mem": "4000M"}, {"mem": "4000M"}),
        ({"mem": "1GB"}, {"mem": "1GB"}),
        ({"mem_per_cpu": "100M"}, {"mem_per_cpu": "132M"}),
        ({"mem": "0M"}, {"mem": "0M"}),  # the node's whole memory
        ({}, {}),
    ],
)
def test_a_nested_snakemake_is_added_to_small_requests(
    asked: dict[str, str], expected: dict[str, str]
) -> None:
    cpus = {"cpus_per_task": 4}
    assert with_nested(asked | cpus) == expected | cpus
