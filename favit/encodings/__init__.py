"""How position enters. One encoding a file."""
