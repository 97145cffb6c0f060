"""The error for a wrong configuration."""


class ConfigError(ValueError):
    """Something is wrong in the configuration; the message says what, and what is allowed, in one line."""
