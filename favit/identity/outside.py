"""Inputs of a run's code that no digest covers: modules of this project outside ``favit``, and the machine.

An editable install puts the project's folder on every job's path, so that ``import helpers`` works everywhere, in
snapshots too, and no digest notices when ``helpers.py`` changes. Such imports are refused. Files and variables of
the environment that a mechanism reads are only told: they may be harmless. Free of torch.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from favit.components import own, registry
from favit.identity.closure import Closure, Reader
from favit.sweeps.errors import ConfigError

_PACKAGE = "favit"

# Rooms whose files have no business with the machine; data sets read files, which are digested by name.
_MECHANISMS = tuple(f"{_PACKAGE}.{room}." for room in ("aggregators", "attention", "encodings", "models"))

# Processes of their own that are handed finished rows: a folder `wandb` in the project is none of the run's code.
_NO_NUMBERS = f"{_PACKAGE}.train.loggers."

# Names whose use asks something of the machine, and what that is.
_ASKED = {
    "environ": "an environment variable",
    "getenv": "an environment variable",
    "open": "a file",
    "read_text": "a file",
    "read_bytes": "a file",
    "fromfile": "a file",
    "loadtxt": "a file",
    "genfromtxt": "a file",
    **dict.fromkeys(("read_csv", "read_json", "read_parquet", "read_pickle", "read_table"), "a file"),
    **dict.fromkeys(("load_file", "loadmat", "memmap", "from_file", "imread", "read_image"), "a file"),
    **dict.fromkeys(("listdir", "scandir", "iterdir"), "what is in a folder"),
    "load_library": "a compiled library",
    **dict.fromkeys(("spec_from_file_location", "SourceFileLoader", "run_path"), "a program from a file"),
    **dict.fromkeys(("urlopen", "urlretrieve", "load_state_dict_from_url", "hf_hub_download"), "the network"),
    "cwd": "the working directory",
    "getcwd": "the working directory",
    "__doc__": "a docstring",
    "getdoc": "a docstring",
    "cpu_count": "the number of processors",
    "sched_getaffinity": "the number of processors",
    "get_num_threads": "the number of threads",
    "device_count": "the number of devices",
    "gethostname": "the machine's name",
    "argv": "the command line",
}
# `load` is also the name of many other things: these modules read a file with it.
_LOADERS = ("torch", "np", "numpy", "json", "pickle", "joblib", "tomllib", "yaml", "cpp_extension")
_LIBRARIES = ("CDLL", "PyDLL", "LoadLibrary")  # without a name: the C library of the process
_OF_PACKAGES = (
    f"{_PACKAGE}.models._torchvision_cpu",
)  # loads that of torchvision, which `versions` can count
_DYNAMIC = re.compile(r"import_module|__import__")
_HINT = re.compile(
    "|".join(
        [
            *(rf"\b{name}\b" for name in (*_ASKED, *_LIBRARIES)),
            rf"\b(?:{'|'.join(_LOADERS)})\b.*\bload\b",
            r"\bsys\.path\b",
        ]
    )
)


def check(closure: Closure, reader: Reader) -> None:
    """``ConfigError`` for the first import that leads to a file of this project outside ``favit``."""
    places = _project(reader.root)
    suspects = {other for other in closure.outside if any(_is_beside(other, place) for place in places)}
    for name in closure.modules:
        path = reader.file_of(name)
        if path is None or name.startswith(_NO_NUMBERS):
            continue
        text = _source(path)
        if not any(other in text for other in suspects) and not _DYNAMIC.search(text):
            continue
        for line, imported in _imports(text):
            if any(_is_beside(imported.partition(".")[0], place) for place in places):
                raise ConfigError(
                    f"{path}, line {line}: imports {imported} from this project but outside {_PACKAGE}/, so that "
                    f"changes of it would not invalidate results. {_REMEDY}, or install it as a package"
                )


# How a file comes to be held to: in a folder of `components` it is a module of `favit` like any other.
_REMEDY = (
    f"Move it into {_PACKAGE}/, or into a folder of your components, and import it from there "
    f"(from {_PACKAGE}.models._shared import ...)"
)


def _project(root: Path) -> list[Path]:
    """The folders whose files are the project's: the checkout, where ``favit`` is none installed, and one's own."""
    rooms = [folder / room for folder in own.folders() for room in registry.KINDS]
    beside = [Path.cwd(), *own.folders(), *rooms] if own.folders() or _is_installed(root) else []
    return list(dict.fromkeys([*([] if _is_installed(root) else [root]), *beside]))


@functools.cache
def _is_installed(root: Path) -> bool:
    """Whether ``favit`` lies there among installed packages, which are nobody's project."""
    return any(root.glob("favit_probsparse-*.dist-info"))


def _shown(path: Path, root: Path) -> str:
    """The path to print: relative to the project if it lies in it."""
    return str(
        next((path.relative_to(base) for base in (root, Path.cwd()) if path.is_relative_to(base)), path)
    )


def untracked(modules: Iterable[str], reader: Reader) -> list[str]:
    """A line for each place where a mechanism reads what no fingerprint covers: files, environment, docstrings."""
    found = []
    for name in modules:
        path = reader.file_of(name)
        if path is None or not name.startswith(_MECHANISMS) or name in _OF_PACKAGES:
            continue
        for line, what in asked_of_machine(_source(path)):
            place = f"{_shown(path, reader.root)}, line {line}"
            found.append(f"{place}: reads {what}, which is not tracked; results stay valid if it changes")
    return found


def asked_of_machine(source: str) -> Iterator[tuple[int, str]]:
    """Line and kind of all that a source reads besides its arguments, each line once."""
    if not _HINT.search(source):
        return
    said = set()
    for node in ast.walk(ast.parse(source)):
        what = _asked(node)
        if what and (node.lineno, what) not in said:  # type: ignore[attr-defined]
            said.add((node.lineno, what))  # type: ignore[attr-defined]
    yield from sorted(said)


def _asked(node: ast.AST) -> str | None:
    if isinstance(node, ast.Attribute):
        owner = node.value.id if isinstance(node.value, ast.Name) else ""
        if node.attr == "load" and owner in _LOADERS:
            return "a file"
        if (owner, node.attr) == ("sys", "path"):
            return "or changes where modules are looked for"
        return _ASKED.get(node.attr)
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        return _ASKED.get(node.id)
    if isinstance(node, ast.Call) and node.args and getattr(node.args[0], "value", "") is not None:
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        return "a compiled library" if called in _LIBRARIES else None
    if isinstance(node, ast.ImportFrom):
        names = [alias.name for alias in node.names]
        if "load" in names and str(node.module).rpartition(".")[2] in _LOADERS:
            return "a file"
        if not node.level and str(node.module).partition(".")[0] not in (_PACKAGE, "builtins"):
            return next((_ASKED[name] for name in names if name in _ASKED), None)
    return None


def _imports(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of every absolute import, those by ``import_module`` of a constant text included."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.lineno, node.module
        elif isinstance(node, ast.Call) and node.args:
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            word = node.args[0]
            if called in ("import_module", "__import__") and isinstance(word, ast.Constant):
                yield node.lineno, str(word.value)


def _is_beside(name: str, root: Path) -> bool:
    """Whether an import of this top-level name would find a file or folder beside ``favit`` in the project."""
    if name in sys.stdlib_module_names or name in (_PACKAGE, ""):
        return False
    if (root / f"{name}.py").is_file() or (root / name / "__init__.py").is_file():
        return True
    if not (root / name).is_dir():
        return False
    # A folder of the name of an installed package, such as `data`, is in nobody's way.
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return True
    places: Iterable[str] = () if spec is None else spec.submodule_search_locations or [spec.origin or ""]
    return spec is None or any(Path(place).is_relative_to(root) for place in places)


def _source(path: Path) -> str:
    return path.read_bytes().decode("utf-8-sig")
