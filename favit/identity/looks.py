"""What a definition looks at besides the names that it uses: what names cannot tell, and what is dropped from texts.

*Needs* are ``module`` (it may look up any name of its module when it runs: the file counts whole), ``imports`` (and
any module that this one imports) and ``everything`` (frames, modules, subclasses: all files count whole). *Reads* are
what is left out of canonical texts unless some code reads it: ``doc``, ``annotation``, ``text`` of exceptions,
``names`` of objects' attributes, ``paths`` of modules, ``locals`` of other functions.
"""

from __future__ import annotations

import ast
import re
from typing import NamedTuple

from favit.identity.handlers import handled
from favit.identity.instances import Instances
from favit.identity.purity import DECORATORS
from favit.identity.scopes import Target

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
# Called as methods of text that is made at run time, these read what that text names of their arguments.
_FORMATS = {"format", "format_map", "vformat"}
_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")  # "a", "a.b"
_IN_FORMAT = re.compile(r"\.([^\W\d]\w*)")  # of "{x.b}"
_READS = {
    "doc": {"__doc__", "getdoc"},
    "annotation": {"__annotations__", "get_type_hints", "signature", "getfullargspec", "get_annotations",
                   "__signature__", "__annotate__", "script", "singledispatch", "singledispatchmethod",
                   "custom_op", "triton_op", "infer_schema"},
    "text": {"exc_info", "__exit__", "__aexit__", "__context__", "__cause__", "format_exc", "format_exception",
             "print_exc", "excepthook", "exception", "redirect_stdout", "redirect_stderr", "capture_output",
             "add_note", "__traceback__", "TracebackException",
             "Handler", "StreamHandler", "FileHandler", "MemoryHandler", "QueueHandler", "addHandler", "addFilter",
             "basicConfig", "dictConfig", "fileConfig", "setLogRecordFactory", "setLoggerClass", "getMessage",
             "handlers", "lastResort"},
    "names": {"__dict__", "vars", "dir", "__dir__", "__getattribute__", "getattr_static", "Formatter"},
    "paths": {"__module__"},
}  # fmt: skip

# Set of anything, they catch what is printed.
_SAYING = {"print", "stdout", "stderr", "__stdout__", "__stderr__", "write"}
# Set of any class, they are told of every definition that follows.
_HEARD_BY_ALL = {"__init_subclass__", "__set_name__"}
# Set of another package, they have definitions do more than define.
_DECORATING = {name.rpartition(".")[2] for name in DECORATORS}


class Looks(NamedTuple):
    """What a top-level statement looks at.

    ``words`` are attributes and texts, ``freeze`` says whether it looks at its own locals. ``foreign`` are attributes
    of other packages that are searched for names made at run time, ``stored`` those that are set of anything. ``says``
    are classes of errors into whose texts it puts those of others.
    """

    needs: set[str]
    reads: set[str]
    words: set[str]
    freeze: bool
    foreign: set[str]
    stored: set[str]
    says: set[str]


def looks(node: ast.stmt, imported: dict[str, Target], once: dict[str, Target]) -> Looks:
    """What a statement looks at; ``imported`` are names that its module imports, ``once`` those bound no other way."""
    needs: set[str] = set()
    words: set[str] = set()
    attributes: set[str] = set()
    stored: set[str] = set()
    nodes = list(ast.walk(node))
    calls = [n for n in nodes if isinstance(n, ast.Call)]
    called = {id(n.func) for n in calls}
    allowed = {id(n.comparators[0]) for n in nodes if isinstance(n, ast.Compare) and _is_membership(n)}
    texts = {id(n.value) for n in nodes if isinstance(n, ast.Expr)}  # of docstrings
    classes = {n.name for n in nodes if isinstance(n, ast.ClassDef)}
    for n in nodes:
        word = _word(n)
        if word is not None:
            words.add(word)
        if isinstance(n, ast.Attribute):
            attributes.add(f"{n.attr}()" if id(n) in called else n.attr)
            if n.attr.startswith("__"):  # which a class reads by another name
                attributes |= {f"_{name.lstrip('_')}{n.attr}" for name in classes}
            if not isinstance(n.ctx, ast.Load):
                stored.add(n.attr)
                if n.attr in _DECORATING and _is_of_others(n, imported):
                    needs.add("everything")
        elif isinstance(n, ast.Constant) and isinstance(n.value, str) and id(n) not in texts:
            attributes |= _named(n.value)
        elif isinstance(n, ast.MatchClass):  # `case Kind(size=3)` reads an attribute
            attributes.update(n.kwd_attrs)
        elif isinstance(n, ast.Global):
            needs.add("module")
        if id(n) not in allowed and _sees_everything(n, imported):
            needs.add("everything")
    dynamic = [(n, found) for n in calls if (found := _dynamic(n))]
    foreign: set[str] = set()
    if dynamic:
        instances = Instances(node, once)
        needs = needs.union(*(found for n, found in dynamic if not instances.looked_up(n)))
        foreign = instances.foreign
    stored |= {
        str(n.args[1].value) for n in calls if len(n.args) > 2 and isinstance(n.args[1], ast.Constant)
    }  # setattr
    if words & _EVERYTHING or stored & _HEARD_BY_ALL:
        needs.add("everything")
    handed = {n.id for n in nodes if isinstance(n, ast.Name) and id(n) not in called}
    methods = {n.attr for n in nodes if isinstance(n, ast.Attribute) and id(n) not in called}
    if handed & (_DYNAMIC | _DYNAMIC_GETTERS) or methods & (_DYNAMIC_GETTERS | _FORMATS):
        needs.add("module")  # called elsewhere, they look up what nobody knows
    handed |= methods & _IMPORTERS
    handed &= _LOCALS | _MODULE | _IMPORTERS
    if words & _MODULE and _calls(node, _MODULE):
        needs |= {"module", "imports"}
    reads = {kind for kind, signs in _READS.items() if words & signs}
    said = handled(node)
    if said.reads or stored & _SAYING:
        reads.add("text")
    if handed & _MODULE or _renames(node) or handed & _IMPORTERS:
        needs.add("everything")  # called elsewhere, they look at another module or function
    if handed & (_LOCALS - _NO_BUILTINS) or "everything" in needs:
        reads.add("locals")
    if "module" in needs:
        reads.add("names")
    freeze = _calls(node, _LOCALS) or "everything" in needs
    return Looks(needs, reads, attributes, freeze, foreign, stored, said.into)


def _named(text: str) -> set[str]:
    """Attributes that a text names: by itself, as a path, or as a format."""
    found = set(text.split(".")) if _PATH.fullmatch(text) else set()
    return found | set(_IN_FORMAT.findall(text)) if "{" in text else found


def _is_of_others(node: ast.Attribute, imported: dict[str, Target]) -> bool:
    """``functools.wraps``: an attribute of an imported package."""
    base: ast.expr = node
    while isinstance(base, ast.Attribute):
        base = base.value
    return isinstance(base, ast.Name) and imported.get(base.id, ("favit",))[0].partition(".")[0] != "favit"


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
    if name in _FORMATS and isinstance(func, ast.Attribute) and not _is_text(func.value):
        given = [*node.args, *(k.value for k in node.keywords)]
        return set() if all(map(_is_value, given)) else {"module"}
    return set()


def _is_value(node: ast.AST) -> bool:
    """What an operator or a constant gives: no module."""
    return isinstance(node, ast.Constant | ast.BinOp | ast.JoinedStr | ast.Compare)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
