"""From ``config.yaml`` to runs: the configuration, the matrix, each run's settings. Free of torch."""
