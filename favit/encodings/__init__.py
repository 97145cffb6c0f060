"""Position encodings, one per file, named after it. Each file defines a class ``Encoding``:

* ``Encoding(dim, length=None, grid=None, *, ...)``: the channels of a token, and what it is made for, the length of a
  series or the rows and columns of an image, never both; what follows the ``*`` are its settings, which annotations
  declare with their defaults, bounds and choices (``favit.components.bounds``);
* ``encoding(length)`` gives (length, dim), ``encoding(rows, cols)`` gives (rows * cols, dim) in row-major order. Models
  add it to their tokens, or hand it to an attention that takes position inside.

It is also called at other sizes than it was made for (Informer halves its series, an image may be larger), and gives
vectors there, too: a formula does by itself, what is learned interpolates. No size, a size of 0 and more than two are
a ``ValueError``. It draws no random number when it is called, and its vectors lie on the device of its parameters or
buffers. What can be computed is no parameter and in no checkpoint (``register_buffer(..., persistent=False)``); what is
learned is an ``nn.Parameter``, whose first values follow from the run's seed and its name, and which never decays.

A file may say ``IMAGES = False`` or ``SERIES = False`` where it is not for these, ``TIME = False`` where a forecaster
must not see the calendar, and ``ADDS_POSITION = False`` where its vectors are zero and models skip it.
``favit/contracts/encodings.py`` holds each file to that.
"""
