"""What a result's validity depends on: digests of settings, code and data. Free of torch."""
