"""What is on disk and what it means today: states, reasons, what is asked before work is repeated."""
