"""The identity of a result: digests of settings, code and data. Free of torch."""
