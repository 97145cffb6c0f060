"""Check before anything is queued that timm's models can be built with the settings of their runs.

Asked in a process of its own, which imports timm and torch; whoever asks does not.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from favit.components.facts import stated
from favit.components.literals import family_of
from favit.components.timm_names import KEPT, WRITTEN
from favit.disk.cache import Cache
from favit.identity.digests import short_digest
from favit.identity.versions import installed
from favit.planning._process import ask, last_words
from favit.sweeps.config import ConfigError
from favit.sweeps.runs import Run

_SIZES = {"classes": 10, "channels": 3}  # of data whose facts are not known without them


def check(runs: Iterable[Run], cache: Cache) -> list[str]:
    """A line for each setting that a model ignores. Raises ``ConfigError`` for a model that cannot be built."""
    asked = list({short_digest(a): a for run in runs if (a := _asked(run))}.values())
    unknown = [a for a in asked if cache.get(_key(a)) is None]
    for of, answer in zip(unknown, _answers(unknown), strict=True):
        cache[_key(of)] = answer
    cache.save()
    said = []
    for of in asked:
        answer = cache.get(_key(of))
        if answer["error"]:
            raise ConfigError(
                f"model {WRITTEN}{of['name']} cannot be trained on images of {of['image_size']} pixels: "
                f"{answer['error']}"
            )
        if of["drop_path"] and "drop_path_rate" in answer["refused"]:
            said.append(f"{WRITTEN}{of['name']} does not support drop_path; {of['drop_path']} is ignored")
    return said


def _asked(run: Run) -> dict[str, Any]:
    """What timm is asked to build; nothing for other models."""
    if family_of(run["model"]) != "timm":
        return {}
    sizes = stated(run["dataset"]) or _SIZES
    return {
        "name": run["model"].removeprefix(KEPT),
        "classes": sizes["classes"],
        "channels": sizes["channels"],
        "image_size": run["image_size"],
        "drop_path": run["drop_path"],
    }


def _key(asked: Mapping[str, Any]) -> str:
    return short_digest([dict(asked), installed("timm"), installed("torch")])


def _answers(asked: list[dict[str, Any]]) -> list[Mapping[str, Any]]:
    if not asked:
        return []
    done = ask("favit.planning.buildable", asked)
    if done.returncode:
        raise ConfigError(f"cannot check timm's models here: {last_words(done, 'no output')}")
    answers: list[Mapping[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return answers


def answer(asked: Mapping[str, Any]) -> dict[str, Any]:
    """``error`` (None: it can be trained) and ``refused``, what of its settings the model does not take.

    Tried on torch's meta device, where nothing is computed; what fails there, once more on the CPU.
    """
    for device in ("meta", "cpu"):
        try:
            refused, error = _tried(asked, device), None
            break
        except Exception as problem:
            refused, error = [], " ".join(str(problem).split()) or type(problem).__name__
    return {"error": error, "refused": refused}


def _tried(asked: Mapping[str, Any], device: str) -> list[str]:
    import torch

    from favit.models import timm

    sizes = asked["channels"], asked["image_size"], asked["image_size"]
    with torch.device(device), torch.no_grad():
        given = (asked["classes"], asked["channels"], asked["image_size"], asked["drop_path"])
        model, refused = timm.create(asked["name"], *given)
        made = model.train()(torch.zeros(2, *sizes))
    if not isinstance(made, torch.Tensor) or made.shape != (2, asked["classes"]):
        raise ValueError(f"its output is not one number for each of {asked['classes']} classes")
    return refused


if __name__ == "__main__":
    print(json.dumps([answer(asked) for asked in json.load(sys.stdin)]))
