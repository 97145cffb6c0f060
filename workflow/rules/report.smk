# The report of all sweeps as one page, and the analyses that need no training.
