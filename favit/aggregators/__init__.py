"""Aggregators: fuse the dilated windows of one head group into one set of tokens, for keys and values.

One aggregator a file, its name the file's. Each defines a class ``Aggregator``:

* ``Aggregator(channels, heads, windows, *, ...)``: channels a head, heads of the group, and the number of
  windows at the image size that the model is built for; what follows the ``*`` are its settings, which
  annotations declare with their defaults, bounds and choices (``favit.components.bounds``);
* ``forward(samples, queries, key_map, grid) -> tokens``

  - ``samples`` (B, heads, 49, windows, channels): what each window holds at each of its 7 x 7 positions, both
    in row-major order;
  - ``queries`` (B, heads, N, channels);
  - ``key_map()`` returns the weight (channels, channels) and the bias (channels,) of the linear map that
    turns a token into its key;
  - ``grid``: rows and columns of windows, their product is the number of windows;
  - the tokens are (B, heads, 49, channels).

An aggregator never mixes images, draws no random number in ``forward``, makes tensors on the device of what it is
given, costs about what ``max_pool`` does and compiles as one graph. One that samples has ``resample(generator)``, which
training calls before each step with the same CPU generator in every process, and always takes the same sample in
evaluation. A file may say ``USES_SAMPLES = False``: its tokens do not depend on the image; their gradient for the
samples is zero, not absent. ``favit/contracts/aggregators.py`` holds each file to that.
"""
