"""Attention between tokens of a series. One mechanism a file."""
