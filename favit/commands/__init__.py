"""What people type: one module a verb, ``favit VERB``."""
