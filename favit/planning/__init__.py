"""Estimate what a sweep costs: time, from finished runs or measured, and storage."""
