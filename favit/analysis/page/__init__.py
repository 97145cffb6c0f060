"""The report: all tables and figures of a study as one page."""
