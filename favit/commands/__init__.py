"""The commands ``favit VERB``: one module for each verb."""
