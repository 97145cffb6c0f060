"""What importing modules does, in the order in which Python does it; see ``favit.identity.definitions``."""

from __future__ import annotations

import sys

from favit.identity.facts import is_own
from favit.identity.names import Facts, Files, Names, Node

# Packages that change nothing of others when they or one of their modules are first imported.
_QUIET = {"torch", "numpy", "einops"}
STANDARD = sys.stdlib_module_names


class Importing(Names):
    """Imports modules as Python would, and notes each statement with effects and each other package."""

    def __init__(self, files: Files) -> None:
        super().__init__(files)
        self._begin()

    def _begin(self) -> None:
        """Start over with what is known so far."""
        self._loaded: dict[str, None] = {}
        self._events: list[str | Node] = []
        self._outside: set[str] = set()
        self._epochs, self._told, self._epoch = {}, {}, 0

    def _load(self, module: str) -> None:
        """Import a module as Python would, noting effects in their order."""
        parts = module.split(".")
        for end in range(1, len(parts) + 1):
            name = ".".join(parts[:end])
            if name not in self._loaded and self._files.exists(name):
                self._loaded[name] = None
                self._execute(name)

    def _execute(self, module: str) -> None:
        facts = self._files.facts(module)
        if facts is None:
            return
        told = self._is_told(facts)
        if told:
            self._told[module] = told
        for place, statement in enumerate(facts["statements"]):
            self._epochs[Node(module, place)] = self._epoch
            if statement["kind"] == "import" and "everything" in statement["needs"] and not self._everything:
                self._everything = self._learnt = True
            for name in statement["loads"]:
                self._import(name)
            self._epochs[Node(module, place)] = self._epoch
            if statement.get("effect") or (told and statement["kind"] != "import"):
                self._events.append(Node(module, place))
                self._epoch += 1

    def _import(self, name: str) -> None:
        if is_own(name):
            self._load(name)
        elif name.partition(".")[0] not in STANDARD and name not in self._outside:
            self._outside.add(name)
            package = name.partition(".")[0]
            if package not in _QUIET:
                self._events.append(name)
                self._epoch += 1
            elif package not in self._outside or name == package:
                self._outside.add(package)
                self._events.append(package)

    def _is_told(self, facts: Facts) -> str:
        """Why defining a module may have an effect elsewhere: in what its classes derive from, or what it reads."""
        for module, name in facts["attributes"]:
            other = self._files.facts(module)
            if other is None or self._place(other, name) is None:
                return f"{module} may not have {name}"
        for module, name in facts["named"]:
            if not all(self._is_no_object(n) for n in self._attribute(module, [name], ()).nodes):
                return f"{module}.{name} may be told of the classes that hold it"
        return self._told_base(facts["bases"], set())

    def _told_base(self, bases: list[list[str]], seen: set[Node]) -> str:
        """Why a class may be told of one that is derived from it, from these bases in other modules; else empty."""
        for module, name in bases:
            found = self._attribute(module, [name], ())
            statements = [self._statement(n) for n in found.nodes if n.place is not None]
            if len(statements) != len(found.nodes) or found.rest or not statements:
                if all(not is_own(n.module) for n in found.nodes) and found.nodes:
                    continue
                return f"a base class {name} that cannot be followed"
            for statement, node in zip(statements, found.nodes, strict=True):
                base = self._files.facts(node.module)
                if (
                    statement["kind"] != "ClassDef"
                    or statement["told"]
                    or (base and base["whole"] and statement["effect"])
                ):
                    return f"the base class {name} may be told of its subclasses"
                if node not in seen and (why := self._told_base(statement["needs_bases"], {*seen, node})):
                    return why
        return ""

    def _is_no_object(self, node: Node) -> bool:
        """Whether it is a function, a class, or a value that is written out."""
        if node.place is None:
            return False
        statement = self._statement(node)
        return not statement["effect"] and statement["plain_value"]
