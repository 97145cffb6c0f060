"""Files that are whole or absent, caches that may be deleted, and the lease on a run's folder."""
