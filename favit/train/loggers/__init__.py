"""Loggers of history rows: TensorBoard, W&B, or your own function.

A logger is a function. It is called once in each life of a run, with what there is to know of the run
(``favit.train.loggers.about.About``) and with its options in ``config.yaml`` as keywords, and returns a callable that
is given each row of the history, a dict of plain values: ``epoch`` from 1, ``train_loss``, ``lr``, scores, ``seconds``,
``examples_per_second``, ``memory_bytes``. Two attributes of that callable mean something, where it has them:

``close``
    is called at the end of the life with a dict: ``status`` (``finished``, ``diverged``, ``stopped``) and ``metrics``,
    the final scores, empty but for ``finished``.
``replays``
    true: each life hands over all rows from the first, for loggers that replace what an earlier life left.
    Otherwise no row is given twice, and one that was being given when the run was killed is not given again.

Each logger has a process of its own, which nothing that trains waits for: one that fails, hangs, prints, or takes the
interpreter with it costs its rows and nothing else. Nothing here is part of a run's code.
"""
