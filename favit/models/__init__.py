"""Models assembled from aggregators, attention and encodings.

After ``import favit.models`` timm knows the image models (``timm.create_model("favit_b0")``), whichever of the two
packages is imported first. They are loaded when timm is, and timm is not loaded from here: a forecaster's run
imports neither, and does not depend on their code.
"""

from favit.models._timm import when_timm_is_imported

when_timm_is_imported()
