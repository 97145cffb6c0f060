"""From results on disk to tables, statistics and figures."""
