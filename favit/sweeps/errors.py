"""What is wrong with a configuration, as one line for its writer."""


class ConfigError(ValueError):
    """Something in the configuration that its writer has to change; the message is one line."""
