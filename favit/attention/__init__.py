"""Self-attention of Informer. One mechanism a file, its name the file's. Each defines a class ``Attention``:

* ``Attention(length, causal=False, dropout=0.0, *, ...)``; what follows the ``*`` are its settings, declared by
  annotations;
* ``forward(q, k, v)`` of queries and keys (B, H, L, d) and values (B, H, L, e) gives (B, H, L, e).

A file that says ``POSITION_INSIDE = True`` takes two more arguments, position's parts of queries and keys
(H, L, d), and has nothing added to the model's input.
"""
