"""What a definition looks at besides the names that it uses: what names cannot tell, and what is dropped from texts.

*Needs* are ``module`` (it may look up any name of its module when it runs: the file counts whole), ``imports`` (and
any module that this one imports) and ``everything`` (frames, modules, subclasses: all files count whole). *Reads* are
what is left out of canonical texts unless some code reads it: ``doc``, ``annotation``, ``text`` of exceptions,
``names`` of objects' attributes, ``paths`` of modules, ``locals`` of other functions.
"""

from __future__ import annotations

import ast

from favit.identity.scopes import Target
from favit.identity.syntax import PLAIN_ERRORS

# Reached anywhere, these let code see more than names tell: all files count whole.
_EVERYTHING = {
    *(
        "_getframe",
        "currentframe",
        "f_globals",
        "f_locals",
        "f_back",
        "f_builtins",
        "f_code",
        "tb_frame",
        "gi_frame",
    ),
    *(
        "__subclasses__",
        "__globals__",
        "__code__",
        "__closure__",
        "get_objects",
        "get_referrers",
        "_current_frames",
    ),
    *("getmembers", "getmodule", "getsource", "getsourcelines", "getclosurevars", "reload", "iter_modules"),
    *(
        "walk_packages",
        "settrace",
        "setprofile",
        "__builtins__",
        "cell_contents",
        "getouterframes",
        "get_source",
        "resolve_name",
        "spec_from_file_location",
        "run_path",
        "SourceFileLoader",
    ),
}
_INSPECT = {
    "signature",
    "Parameter",
    "Signature",
    "isclass",
    "isfunction",
    "ismethod",
    "isabstract",
    "get_annotations",
}
# These see the names of the module around.
_MODULE = {"globals", "eval", "exec", "execfile"}
# These see the names of a function.
_LOCALS = {"locals", "vars", "dir", "eval", "exec", "query", "evaluate"}
_IMPORTERS = {"import_module", "__import__"}
# With another name, or as a whole, they are not recognised where they are used.
_RENAMED = (
    _MODULE | _IMPORTERS | {"locals", "vars", "dir", "getattr", "attrgetter", "methodcaller", "modules"}
)
_NO_BUILTINS = {"query", "evaluate"}
_DYNAMIC = {"getattr", "setattr", "delattr", "hasattr"}
_DYNAMIC_GETTERS = {"attrgetter", "methodcaller"}
_READS = {
    "doc": {"__doc__", "getdoc"},
    "annotation": {"__annotations__", "get_type_hints", "signature", "getfullargspec", "get_annotations",
                   "__signature__", "__annotate__", "script", "singledispatch", "singledispatchmethod"},
    "text": {"exc_info", "__exit__", "__aexit__", "__context__", "__cause__", "format_exc", "format_exception",
             "print_exc", "excepthook", "exception", "redirect_stdout", "redirect_stderr", "capture_output",
             "add_note", "__traceback__", "TracebackException"},
    "names": {"__dict__", "vars", "dir", "__dir__", "__getattribute__"},
    "paths": {"__module__"},
}  # fmt: skip


def looks(node: ast.stmt, imported: dict[str, Target]) -> tuple[set[str], set[str], set[str], bool]:
    """(needs, reads, attributes and texts, whether it looks at its own locals) of a top-level statement."""
    needs: set[str] = set()
    words: set[str] = set()
    attributes: set[str] = set()
    called = {id(n.func) for n in ast.walk(node) if isinstance(n, ast.Call)}
    allowed = {
        id(n.comparators[0]) for n in ast.walk(node) if isinstance(n, ast.Compare) and _is_membership(n)
    }
    for n in ast.walk(node):
        word = _word(n)
        if word is not None:
            words.add(word)
            if word.isidentifier() and isinstance(n, ast.Attribute | ast.Constant):
                attributes.add(f"{word}()" if id(n) in called else word)
        if isinstance(n, ast.Call):
            needs |= _dynamic(n)
        if isinstance(n, ast.Global):
            needs.add("module")
        if id(n) not in allowed and _sees_everything(n, imported):
            needs.add("everything")
    if words & _EVERYTHING:
        needs.add("everything")
    handed = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and id(n) not in called}
    handed |= {
        n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute) and id(n) not in called
    } & _IMPORTERS
    handed &= _LOCALS | _MODULE | _IMPORTERS
    if words & _MODULE and _calls(node, _MODULE):
        needs |= {"module", "imports"}
    reads = {kind for kind, signs in _READS.items() if words & signs}
    if _reads_exceptions(node):
        reads.add("text")
    if handed & _MODULE or _renames(node) or handed & _IMPORTERS:
        needs.add("everything")  # called elsewhere, they look at another module or function
    if handed & (_LOCALS - _NO_BUILTINS) or "everything" in needs:
        reads.add("locals")
    if "module" in needs:
        reads.add("names")
    freeze = _calls(node, _LOCALS) or "everything" in needs
    return needs, reads, attributes, freeze


def _renames(node: ast.AST) -> bool:
    """``import builtins``, ``from builtins import eval``, ``from importlib import import_module as find``."""
    for n in ast.walk(node):
        if isinstance(n, ast.Import) and any(a.name == "builtins" for a in n.names):
            return True
        if isinstance(n, ast.ImportFrom) and (
            n.module == "builtins" or any(a.asname and a.name in _RENAMED for a in n.names)
        ):
            return True
    return False


def _sees_everything(node: ast.AST, imported: dict[str, Target]) -> bool:
    """``sys.modules`` but for asking whether a name is in it, and what ``inspect`` says of frames and modules."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        module = imported.get(node.value.id, (node.value.id, None))
        return (module == ("sys", None) and node.attr == "modules") or (
            module == ("inspect", None) and node.attr not in _INSPECT
        )
    if isinstance(node, ast.Import):
        return any(a.name in ("sys", "inspect") and a.asname for a in node.names)
    if isinstance(node, ast.ImportFrom):
        names = {a.name for a in node.names}
        return (node.module == "sys" and bool(names & {"modules", "*"})) or (
            node.module == "inspect" and not names <= _INSPECT
        )
    return False


def _word(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.alias):
        return node.name.rpartition(".")[2]
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return node.name
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 60:
        return node.value
    return None


def _is_membership(node: ast.Compare) -> bool:
    """``"name" in sys.modules``."""
    return (
        len(node.ops) == 1
        and isinstance(node.ops[0], ast.In | ast.NotIn)
        and isinstance(node.left, ast.Constant)
    )


def _calls(node: ast.AST, names: set[str]) -> bool:
    """Whether one of these is named at all; ``model.eval()``, a method without arguments, is none."""
    for n in ast.walk(node):
        if isinstance(n, ast.Name) and n.id in names - _NO_BUILTINS:
            return True
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and n.func.attr in names and n.args:
            return True
        if isinstance(n, ast.alias) and n.name in names:
            return True
    return False


def _dynamic(node: ast.Call) -> set[str]:
    func = node.func
    name = func.id if isinstance(func, ast.Name) else func.attr if isinstance(func, ast.Attribute) else None
    if name in _DYNAMIC and not (len(node.args) > 1 and _is_text(node.args[1])):
        return {"module"}
    if name in _DYNAMIC_GETTERS and not all(map(_is_text, node.args)):
        return {"module"}
    return set()


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _reads_exceptions(node: ast.AST) -> bool:
    """Whether a handler looks at the exception that it caught, other than to say or raise it again."""
    return any(
        isinstance(handler, ast.ExceptHandler)
        and handler.name
        and any(_reads(s, handler.name) for s in handler.body)
        for handler in ast.walk(node)
    )


def _reads(node: ast.AST, name: str) -> bool:
    if isinstance(node, ast.Name):
        return node.id == name
    if isinstance(node, ast.Raise):
        if isinstance(node.exc, ast.Call) and getattr(node.exc.func, "id", None) in PLAIN_ERRORS:
            # put into another text, which is looked at where that one is
            return any(_reads(a, name) for a in node.exc.args if not _says(a, name)) or any(
                _reads(k, name) for k in node.exc.keywords
            )
        return not isinstance(node.exc, ast.Name) and node.exc is not None and _reads(node.exc, name)
    return any(_reads(child, name) for child in ast.iter_child_nodes(node))


def _says(node: ast.AST, name: str) -> bool:
    """``f"... {error}"``, ``str(error)``: no more than the text."""
    if isinstance(node, ast.JoinedStr):
        return all(
            isinstance(p, ast.Constant)
            or (isinstance(p, ast.FormattedValue) and (isinstance(p.value, ast.Name) or not _reads(p, name)))
            for p in node.values
        )
    call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "str"
    return call and all(isinstance(a, ast.Name) for a in node.args)  # type: ignore[attr-defined]
