"""Components by name, and the settings and facts that each declares."""
