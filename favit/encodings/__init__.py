"""How position enters. One encoding a file, its name the file's. Each defines a class ``Encoding``:

* ``Encoding(dim, length=None, grid=None, *, ...)``: channels, and the length of a series or the rows and columns
  of an image; what follows the ``*`` are its settings, declared by annotations;
* ``encoding(length)`` gives (length, dim), ``encoding(rows, cols)`` gives (rows * cols, dim).

A file may say ``IMAGES = False`` or ``SERIES = False`` where it is not for these, ``TIME = False`` where a
forecaster must not see the calendar, and ``ADDS_POSITION = False`` where models skip it.
"""
