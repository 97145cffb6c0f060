"""Proof by execution: old and new code train a few steps, and every number is compared to the bit."""
