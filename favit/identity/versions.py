"""Versions of packages as far as they count. Free of torch and of the configuration, for a job needs them, too."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Iterator, Mapping

from favit.components.nearest import unknown

# Packages that runs import, by the names under which they are installed, and the names under which they are imported.
# Others that are installed may be counted, too.
PACKAGES: Mapping[str, str] = {
    "torch": "torch",
    "timm": "timm",
    "torchvision": "torchvision",
    "numpy": "numpy",
    "einops": "einops",
    "pandas": "pandas",
    "pillow": "PIL",
    "simplejpeg": "simplejpeg",
    "array-record": "array_record",
    "scikit-learn": "sklearn",
}
_ABSENT = "not installed"


def cut(version: str, precision: str) -> str:
    """A version as far as it counts: ``none``, ``major``, ``minor`` (major.minor) or ``exact``, without local part."""
    public = version.partition("+")[0]
    parts = {"none": 0, "major": 1, "minor": 2, "exact": None}[precision]
    return ".".join(public.split(".")[:parts])


def differing(
    then: Mapping[str, str], now: Mapping[str, str], policy: Mapping[str, str]
) -> Iterator[tuple[str, str, str]]:
    """Each package of ``now`` whose version differs where it counts, with the version then and now."""
    for package, version in now.items():
        precision, before = policy.get(package, "none"), then.get(package, "unknown")
        if cut(before, precision) != cut(version, precision):
            yield package, before, version


def installed(package: str) -> str:
    """The installed version of a package."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return _ABSENT


def import_name(package: str) -> str:
    """The name under which code imports an installed package."""
    return PACKAGES.get(package, package.replace("-", "_"))


def unknown_package(named: Iterable[str]) -> str | None:
    """The message about the first name that is not a package; None if all are."""
    for package in named:
        if package not in PACKAGES and installed(package) == _ABSENT:
            return unknown(f"package '{package}'", package, PACKAGES)
    return None
