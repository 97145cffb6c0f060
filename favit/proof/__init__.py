"""Proof by execution: old and new code train a few steps alike, and every number is compared to the bit."""
