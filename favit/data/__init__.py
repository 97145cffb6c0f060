"""Data sets, one a file, its name the file's. Each states, as literals that are read without importing it:

* ``TASK``: ``"classification"`` or ``"forecasting"``;
* ``FACTS``: what a model must know, ``{"classes": 10, "channels": 3, "image_size": 32}`` or
  ``{"variables": 7, "time_features": 4}``. Series whose file the user names leave it out: their data count it;
* what it is made of, for results count only with the same content. ``FILES``: names below the folder of the data, each
  with a SHA-256 or ``""``; ``FILE_SETTING``: the setting that names its file; ``PACKAGE_FILES``: files of an installed
  package. What is computed needs none;
* ``SOURCES``, where ``snakemake data`` may fetch them: name -> ``{"url": ..., "sha256": ...}``; archives are unpacked;
* ``FEED = "stored"`` for images that stay on disk; others are held in memory.

A dataclass ``Settings`` declares what may be set, written ``dataset.name`` in ``config.yaml``
(``favit.components.flat.own`` takes them from a run).

``load(root, run)`` gives the data below the folder ``root``, the same each time, in the same order, without random
numbers:

* images as ``favit.data._images.ImageData``: training and test images (N, 3, H, W) uint8, all of one size, their labels
  (N,) int64 from 0 on, mean and deviation of the training pixels a channel in [0, 1], and the classes' names;
* a series as ``favit.data._series.Series``: values (T, V) float64 in the file's units, calendar features (T, F)
  float32, times, names of the variables and the rows of the three parts, later ones looking back by
  ``run["input_length"]``.
  ``favit.data._csv.read_table`` and ``favit.data._load.series_of`` make one of a CSV file.

A file that is not there is ``favit.data._missing.DataMissing``, which says how to get it; one that is wrong is a
``ValueError`` that names it. ``favit/contracts/data.py`` holds each file to that.
"""
