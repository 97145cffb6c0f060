"""Self-attention of Informer. One mechanism a file, its name the file's. Each defines a class ``Attention``:

* ``Attention(length, causal=False, dropout=0.0, *, ...)``: the number of steps L of the series (a layer of the encoder
  sees the input, or half of it after each distilling; the decoder sees label and horizon), whether a step may see
  later ones, and the rate of dropout on its weights; what follows the ``*`` are its settings, which annotations declare
  with their defaults, bounds and choices (``favit.components.bounds``);
* ``forward(q, k, v) -> mixed``

  - ``q`` and ``k`` (B, heads, L, d), projected already; dividing scores by the root of d is the mechanism's;
  - ``v`` (B, heads, L, e);
  - ``mixed`` (B, heads, L, e), of the type of ``v``.

A file that says ``POSITION_INSIDE = True`` takes two more arguments, position's parts of queries and keys
(heads, L, d), and has nothing added to the model's input; such a run needs an encoding that has position to give.

An attention never mixes examples. With ``causal`` no gradient goes from a step to a later one. It draws no random
number in evaluation; in training dropout alone takes torch's generator, and one that samples has
``resample(generator)``, which training calls before each step with the same CPU generator in every process, and always
takes the same sample in evaluation. What it samples is no parameter and in no checkpoint
(``register_buffer(..., persistent=False)``). Tensors that it makes lie on the device of what it is given. Shapes that
do not fit are a ``ValueError``. ``favit/contracts/attention.py`` holds each file to that.
"""
