"""Packs image data sets of many small files into few large ones: ``python -m favit.prepare``. Free of torch."""
