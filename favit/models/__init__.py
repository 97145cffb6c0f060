"""Models, most of them assembled from aggregators or attention and encodings. One family a file, which defines:

* ``VARIANTS``: the names of its models, ``("favit_b0", "favit_b1")``, none of which another file has;
* ``TASK``: ``"classification"`` or ``"forecasting"``;
* ``build(run, facts) -> nn.Module``: the model on the CPU. ``run`` holds the flat settings of a run: ``run["model"]``
  is the variant, ``run["aggregator"]`` and ``run["encoding"]`` are mechanisms, which ``registry.load`` imports,
  ``run["image_size"]``, ``run["drop_path"]``, ``run["input_length"]`` and so on are those of training
  (``favit/train/settings.py``). ``facts`` are the data set's: ``classes``, ``channels`` and ``image_size``, or
  ``variables`` and ``time_features``. What does not go together is a ``ValueError``;
* ``AGGREGATORS = "attention"`` where the run's aggregator is an attention, ``"none"`` where the model has no use for
  one, nor for an encoding (its runs name ``none`` for both); otherwise it is of ``favit/aggregators``;
* ``TRAINED = False`` where there is nothing to train, such as of a forecast that repeats the last step;
* a dataclass ``Settings``, where the model has settings, written ``model.d_model`` in ``config.yaml``;
  ``Settings(**own(run, "model"))`` takes them from a run (``favit.components.flat.own``).

A classifier's ``forward`` takes images (B, 3, S, S), standardised, and gives logits (B, classes). A forecaster's takes
``(x_enc, mark_enc, x_dec, mark_dec)``: the input (B, input_length, V) with its calendar features (B, input_length, F),
and the last ``label_length`` steps of it followed by ``horizon`` zeros, with theirs; it gives (B, horizon, V). Both in
float32 or under autocast; losses and optimizer are training's.

A gradient reaches every parameter. Initial weights follow from the run's seed and each parameter's name: plain torch
initialisers in constructors do by themselves. Modules with ``resample(generator)`` are told to draw before each step;
``no_weight_decay()`` names parameters besides biases and norms that must not decay. In evaluation a model draws no
random number and mixes no examples. Tensors that it makes lie on the device of what it is given. timm and torchvision
may be imported like any package. ``favit/contracts/models.py`` holds each file to that.

After ``import favit.models`` timm knows the image models (``timm.create_model("favit_b0")``), whichever of the two
packages is imported first. They are loaded when timm is, and timm is not loaded from here: a forecaster's run
imports neither, and does not depend on their code.
"""

from favit.models._timm import when_timm_is_imported

when_timm_is_imported()
