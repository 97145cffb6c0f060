"""Training one run: ``python -m favit.train``."""
