"""FaViT-ProbSparse: ablation sweeps over attention mechanisms, from a configuration to the tables of a paper."""


def __getattr__(name: str) -> object:
    """``load_run`` and others, imported when first used (PEP 562): see ``favit.loading``.

    This file is part of every run's code, of which these two functions are none (``favit.identity.facts``): what
    they lead to is in no snapshot, and no import statement leads there.
    """
    if name.startswith("load_"):
        import importlib

        loading = importlib.import_module("favit.loading")
        if name in loading.__all__:
            return getattr(loading, name)
    raise AttributeError(f"module 'favit' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The module's names, and those that are imported when first used."""
    return sorted([*globals(), "load_histories", "load_predictions", "load_results", "load_run"])
