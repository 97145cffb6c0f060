"""The process around a run's training: request, lease, signals, progress, records and its end."""
