# What type checkers and editors read of favit/__init__.py: the file itself must say no more than it does.
from favit.loading import load_histories as load_histories
from favit.loading import load_predictions as load_predictions
from favit.loading import load_results as load_results
from favit.loading import load_run as load_run
