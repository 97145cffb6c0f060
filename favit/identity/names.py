"""What a name leads to, through imports, packages and modules; see ``favit.identity.definitions``."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from favit.identity.facts import is_own
from favit.identity.syntax import PLAIN_ERRORS

Facts = dict[str, Any]


class Files(Protocol):
    """The source of facts."""

    def facts(self, module: str) -> Facts | None:
        """The facts of a module; None if it has no file."""
        ...

    def exists(self, module: str) -> bool:
        """Whether it is a module, a package or a folder of modules."""
        ...


class Node(NamedTuple):
    """A statement of a module, or with ``place`` None the module itself."""

    module: str
    place: int | None = None


class Found(NamedTuple):
    """What a name leads to: nodes, the text that remains, and when the imports on the way were made."""

    nodes: tuple[Node, ...]
    rest: str
    hops: tuple[int, ...] = ()


class Names:
    """Resolves names of the modules in ``files``, and learns on the way which of these count whole."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._forced: dict[str, str] = {}  # modules that count whole for what was met on the way
        self._escaped: set[str] = set()  # modules that are handed around as values
        self._everything = False  # all modules count whole
        self._learnt = True  # whether something was learnt since, that may change what was read before
        self._told: dict[str, str] = {}  # modules whose definitions have effects elsewhere
        self._epochs: dict[Node, int] = {}  # how many statements with effects ran before each statement
        self._resolving: set[tuple[str, str]] = set()

    def _learn(self, kind: set[str], values: set[str]) -> None:
        if not values <= kind:
            kind |= values
            self._learnt = True

    def _force(self, module: str, why: str) -> None:
        if module not in self._forced and not self._whole(module):
            self._forced[module] = why
            self._learnt = True

    def _whole(self, module: str) -> str:
        """Why a module counts whole, empty where it does not."""
        facts = self._files.facts(module)
        if facts is None:
            return ""
        if self._everything:
            return "code looks at frames or modules"
        return facts["whole"] or self._forced.get(module, "") or self._told.get(module, "")

    def _statement(self, node: Node) -> Facts:
        facts = self._files.facts(node.module)
        assert facts is not None and node.place is not None
        found: Facts = facts["statements"][node.place]
        return found

    def _bound(
        self, module: str, name: str, chain: list[str], hops: tuple[int, ...], inside: bool = False
    ) -> Found:
        """What a name that a module binds leads to."""
        facts = self._files.facts(module)
        assert facts is not None
        place = self._place(facts, name)
        if place is None:
            return Found((Node(module),), _rest([name, *chain]), hops)
        statement = facts["statements"][place]
        whole = self._whole(module)
        if statement["kind"] != "import":
            if whole:
                return Found((Node(module),), _rest([name, *chain]), hops)
            several = [f"({name})"] if len(statement["binds"]) > 1 else []
            return Found((Node(module, place),), "".join(several) + _rest(chain), hops)
        hops = (*hops, self._epochs.get(Node(module, place), -1))
        if (module, name) in self._resolving:
            return Found((Node(module),), _rest([name, *chain]), hops)
        self._resolving.add((module, name))
        target, attribute = next((t, a) for n, t, a in statement["imports"] if n == name)
        found = self._target(target, attribute, chain, hops)
        self._resolving.discard((module, name))
        if whole and not inside:
            return Found((Node(module), *found.nodes), _rest([name, *chain]), found.hops)
        return found

    def _place(self, facts: Facts, name: str) -> int | None:
        places = facts.get("places")
        if places is None:
            places = facts["places"] = {n: p for p, s in enumerate(facts["statements"]) for n in s["binds"]}
        return places.get(name)

    def _target(self, module: str, attribute: str | None, chain: list[str], hops: tuple[int, ...]) -> Found:
        """What an import leads to."""
        every = [*([attribute] if attribute else []), *chain]
        if not is_own(module) or not self._files.exists(module):
            return Found((), f"ext:{module}" + _rest(every), ())
        return self._attribute(module, every, hops)

    def _attribute(self, module: str, chain: list[str], hops: tuple[int, ...]) -> Found:
        """What attributes read of a module lead to."""
        if not chain:
            self._escape(module)
            return Found((Node(module),), "", hops)
        facts, name = self._files.facts(module), chain[0]
        inner = f"{module}.{name}"
        is_module = self._files.exists(inner)
        place = None if facts is None else self._place(facts, name)
        if facts is not None and place is not None:
            if is_module and not self._imports(facts["statements"][place], name, inner):
                self._escape(inner)
                self._escape(module)
                return Found((Node(module), Node(inner)), _rest(chain), hops)
            return self._bound(module, name, chain[1:], hops)
        if is_module:
            return self._attribute(inner, chain[1:], hops)
        self._escape(module)
        return Found((Node(module),), _rest(chain), hops)

    def _imports(self, statement: Facts, name: str, inner: str) -> bool:
        """Whether a package's name is bound to its own module of that name."""
        targets = [(t, a) for n, t, a in statement.get("imports", []) if n == name]
        package = inner.rpartition(".")[0]
        return bool(targets) and all(target in ((inner, None), (package, name)) for target in targets)

    def _escape(self, module: str) -> None:
        """A module that is handed around as a value: anything may be read of it, or set."""
        if self._files.facts(module) is not None:
            if module not in self._escaped:
                self._escaped.add(module)
                self._learnt = True
            self._force(module, "handed around as a value")

    def _is_plain(self, reference: list[Any], module: str) -> bool:
        """Whether a class of exceptions only holds the text that it is given."""
        found = self._bound(module, reference[1], reference[2], ())
        return bool(found.nodes) and not found.rest and all(self._is_plain_class(n) for n in found.nodes)

    def _is_plain_class(self, node: Node) -> bool:
        if node.place is None:
            return False
        statement = self._statement(node)
        if statement["kind"] != "ClassDef" or not statement["plain"]:
            return False
        names = statement["base_names"]
        return bool(names) and all(self._only_holds(n, node.module) for n in names)

    def _only_holds(self, name: str, module: str) -> bool:
        """Whether a name in a module is that of a class of exceptions that only holds the text that it is given."""
        facts = self._files.facts(module)
        assert facts is not None
        if self._place(facts, name) is None:
            return name in PLAIN_ERRORS
        return self._is_plain(["r", name, []], module)


def _rest(chain: list[str]) -> str:
    return "".join(f".{name}" for name in chain)
