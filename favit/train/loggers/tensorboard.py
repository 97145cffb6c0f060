"""TensorBoard: an event file in ``tensorboard/`` in the run's folder; ``tensorboard --logdir results/runs`` shows all.

Written with the package ``tensorboard`` alone: neither torch nor TensorFlow is imported for it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionStartInfo
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from favit.train.loggers.about import About


class Writer:
    """Writes an event file for each life, with all rows from the first; at the run's end those of earlier lives go."""

    replays = True

    def __init__(self, run: About) -> None:
        folder = run.folder / "tensorboard"
        self._earlier = [] if not folder.is_dir() else sorted(folder.glob("events.out.tfevents.*"))
        _wait_for_a_later_name(self._earlier)
        self._file = EventFileWriter(str(folder))
        self._step = 0
        # Whoever has read earlier files forgets their values from this step on. They stay while the run goes on: a
        # TensorBoard whose file vanishes before it has seen the next one reads nothing more of the run.
        self._file.add_event(
            Event(wall_time=time.time(), step=1, session_log=SessionLog(status=SessionLog.START))
        )
        self._write([_settings(run)], 0)

    def __call__(self, row: Mapping[str, Any]) -> None:
        """Each number of the row under its name; texts and what is unknown are left out."""
        self._step = int(row["epoch"])
        self._write(_scalars({k: v for k, v in row.items() if k != "epoch"}), self._step)

    def close(self, end: Mapping[str, Any]) -> None:
        """The final scores as ``final/<metric>``."""
        if end["metrics"]:
            self._write(_scalars({f"final/{k}": v for k, v in end["metrics"].items()}), self._step)
        self._file.close()
        if end["status"] != "stopped":
            for path in self._earlier:
                path.unlink(missing_ok=True)

    def _write(self, values: list[Any], step: int) -> None:
        self._file.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))
        self._file.flush()


def _wait_for_a_later_name(earlier: list[Path]) -> None:
    """A TensorBoard that is open goes on to files whose names sort later; they begin with seconds."""
    seconds = [int(path.name.split(".")[3]) for path in earlier if path.name.split(".")[3].isdigit()]
    if seconds and int(time.time()) == max(seconds):
        time.sleep(1.0)


def _scalars(row: Mapping[str, Any]) -> list[Any]:
    numbers = {k: float(v) for k, v in row.items() if isinstance(v, int | float)}
    return [Summary.Value(tag=name, simple_value=value) for name, value in numbers.items()]


def _settings(run: About) -> Any:
    """The run's settings for the HParams page, under the tags that it looks for."""
    start = SessionStartInfo(start_time_secs=time.time(), group_name=run.group)
    for name, value in run.settings.items():
        if isinstance(value, bool):
            start.hparams[name].bool_value = value
        elif isinstance(value, int | float):
            start.hparams[name].number_value = value
        else:
            start.hparams[name].string_value = str(value)
    content = metadata.create_summary_metadata(HParamsPluginData(session_start_info=start))
    return Summary.Value(tag=metadata.SESSION_START_INFO_TAG, metadata=content, tensor=metadata.NULL_TENSOR)
