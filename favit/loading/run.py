"""One run: its settings and scores, its trained model, its data and what it predicted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from favit.components import registry
from favit.components.facts import facts, stated
from favit.components.literals import family_of
from favit.disk.run_folder import RunFolder
from favit.loading.frames import read_history
from favit.loading.places import AnyPath, data_of, folder_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from torch import nn


@dataclass(frozen=True)
class LoadedRun:
    """A run from its folder; ``model`` and ``data`` are loaded when first used.

    folder: where it lies. settings: flat, as it was trained (``lr``, ``aggregator.factor``). metrics: the scores of
    the epoch that counts, empty for a run that diverged or has not finished. record: all of ``metrics.json``.
    """

    folder: Path
    settings: Mapping[str, Any]
    metrics: Mapping[str, float]
    record: Mapping[str, Any] = field(repr=False)
    data_folder: Path = field(repr=False)

    @cached_property
    def data(self) -> Any:
        """The data set as its module loads it, such as ``favit.data._series.Series``. ``FileNotFoundError``."""
        return registry.load("data", self.settings["dataset"]).load(self.data_folder, self.settings)

    @cached_property
    def model(self) -> nn.Module:
        """The trained model on the CPU, in evaluation mode, with the weights that were scored.

        ``FileNotFoundError`` if none were kept, ``ValueError`` if they do not fit the model of today's code.
        """
        from favit.train import weights

        file = RunFolder(self.folder).weights
        if not file.is_file():
            raise FileNotFoundError(
                f"{file} does not exist: the run kept no weights (set keep: weights in the configuration)"
            )
        dataset = self.settings["dataset"]
        known = stated(dataset)
        family = registry.load("models", family_of(self.settings["model"]))
        model: nn.Module = family.build(self.settings, facts(dataset, self.data) if known is None else known)
        try:
            model.load_state_dict(weights.read(file))
        except RuntimeError as error:
            made_by = self.record.get("snapshot")
            raise ValueError(
                f"{file} does not fit the model that today's code builds ({str(error).splitlines()[-1].strip()}); "
                f"the code that made it is in snapshots/{made_by} of the results folder"
            ) from None
        return model.eval()

    @property
    def history(self) -> pd.DataFrame:
        """A row for each epoch: loss, learning rate, scores, seconds, examples a second, bytes of memory."""
        import pandas as pd

        file = RunFolder(self.folder).history
        return read_history(file) if file.is_file() else pd.DataFrame({"epoch": []})

    @property
    def predictions(self) -> dict[str, np.ndarray]:
        """The scores of each test example, see ``load_predictions``. ``FileNotFoundError`` if there are none."""
        import numpy as np

        with np.load(RunFolder(self.folder).predictions) as file:
            return {name: file[name] for name in file.files}


def load_run(run: AnyPath, *, config: AnyPath = "config.yaml", data: AnyPath | None = None) -> LoadedRun:
    """A run by its folder, by its name or other words, or by its key.

    run: the folder of a run or a file in it (no configuration is needed then), or what ``favit explain`` takes:
        ``etth1.informer.full.temporal.seed0``, ``"dataset=etth1 aggregator=full seed=0"``; also the digest that its
        folder is called. config: the configuration that asks for it. data: the folder of the data sets, where it is
        not the configuration's.

    Raises ``ConfigError`` (a ``ValueError``) where this names no run, several, or one without a result.

    >>> import favit
    >>> run = favit.load_run("dataset=digits aggregator=probsparse")
    >>> run.settings["model"], sorted(run.metrics)
    ('favit_b0', ['loss', 'top1', 'top5'])
    >>> import torch
    >>> run.model(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """
    folder = folder_of(run, config)
    files = RunFolder(folder)
    record = json.loads((files.metrics if files.is_finished else files.request).read_text())
    return LoadedRun(
        folder=folder,
        settings=record["run"],
        metrics=record.get("metrics", {}),
        record=record,
        data_folder=data_of(config) if data is None else Path(data),
    )


def load_predictions(run: AnyPath, *, config: AnyPath = "config.yaml") -> dict[str, np.ndarray]:
    """The scores of a run for each test example, by name; ``run`` as for ``load_run``.

    Images: ``labels``, ``predicted`` (N,) class numbers, ``correct5`` (N,) whether the label is among the first five.
    Series: ``squared_error``, ``absolute_error`` (N windows,) means over horizon and variables, and means over windows
    as ``by_horizon_...`` (H,) and ``by_variable_...`` (V,).

    >>> import favit
    >>> found = favit.load_predictions("dataset=digits aggregator=probsparse")
    >>> found["labels"].shape == found["predicted"].shape
    True
    """
    return load_run(run, config=config).predictions
