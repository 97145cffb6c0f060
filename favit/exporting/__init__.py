"""Export a sweep to share it, and train one of its runs again elsewhere. Free of torch."""
