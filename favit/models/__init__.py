"""Models assembled from aggregators, attention and encodings."""
