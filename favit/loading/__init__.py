"""Load what a study made: runs with their models, results and histories as tables (``favit.load_run`` and others).

Imported when the first of these is asked for of ``favit`` (PEP 562); pandas and torch when they are needed.
"""

from favit.loading.frames import load_histories, load_results
from favit.loading.run import LoadedRun, load_predictions, load_run

__all__ = ["LoadedRun", "load_histories", "load_predictions", "load_results", "load_run"]
