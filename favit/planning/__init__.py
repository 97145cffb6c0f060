"""What a sweep will cost: its runs' time, from finished runs or measured, and what it stores."""
