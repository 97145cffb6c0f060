"""Packs image data sets of many small files into few large ones: ``favit prepare``. Free of torch."""
