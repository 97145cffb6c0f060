"""A run's life around its numbers: request, lease, signals, progress, records, its end."""
