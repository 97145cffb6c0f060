"""From the facts of files to one description of what a run can reach; see ``favit.identity.definitions``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from favit.identity.facts import is_own
from favit.identity.importing import STANDARD, Importing
from favit.identity.names import Facts, Files, Found, Node
from favit.identity.pieces import Pieces

_DEFINITIONS = ("FunctionDef", "AsyncFunctionDef", "ClassDef")


class Statement(NamedTuple):
    """A statement that is reached."""

    module: str
    facts: Facts

    @property
    def label(self) -> str:
        """The name that a person would use."""
        return str(self.facts["label"])

    def spelt(self) -> str:
        """Its text, with what it names spelt by its name."""
        return _spelt(self.facts.get("pieces") or [repr(self.facts.get("imports"))])

    def methods(self) -> tuple[tuple[str, str], ...]:
        """The methods of a class."""
        return tuple((name, _spelt(pieces)) for name, pieces in self.facts.get("methods", {}).items())


def _spelt(pieces: Pieces) -> str:
    words = []
    for piece in pieces:
        if isinstance(piece, str):
            words.append(piece)
        elif piece[0] == "r":
            words.append(".".join([piece[1], *piece[2]]))
        elif piece[0] == "i":
            words.append(".".join([*([piece[2]] if piece[2] else [piece[1].rpartition(".")[2]]), *piece[3]]))
    return "".join(words)


class Linker(Importing):
    """Follows names from the roots, again and again until nothing new is learnt that changes what was read before."""

    def __init__(self, files: Files, roots: list[str], like: Linker | None = None) -> None:
        """``like`` is a linker of almost the same files, what was learnt from which is taken for granted."""
        super().__init__(files)
        self._roots = roots
        self._reads: set[str] = set()
        self._words: set[str] = set()
        self._foreign: set[str] = set()  # attributes of other packages that are searched at run time
        self._stored: set[str] = set()  # attributes that are set
        self._told_texts: set[str] = set()  # names of loggers, and of classes of errors
        self._handed: set[str] = (
            set()
        )  # packages that are values somewhere: their modules are their attributes
        if like is not None:
            self._forced, self._escaped = dict(like._forced), set(like._escaped)
            self._reads, self._words, self._everything = set(like._reads), set(like._words), like._everything
            self._foreign, self._stored, self._told_texts = (
                set(like._foreign),
                set(like._stored),
                set(like._told_texts),
            )
            self._handed = set(like._handed)
        while self._learnt:
            self._learnt = False
            self._link()

    def text(self) -> str:
        """The description of all that is reached."""
        return self._text

    def statements(self) -> Iterator[Statement]:
        """The statements that are reached, as they stand in their modules; each once."""
        places: dict[str, set[int]] = {}
        for node in self._order:
            facts = self._files.facts(node.module)
            if facts is not None and node.place is None and self._whole(node.module):
                places.setdefault(node.module, set()).update(range(len(facts["statements"])))
            elif node.place is not None:
                places.setdefault(node.module, set()).add(node.place)
        for module in sorted(places):
            for place in sorted(places[module]):
                statement = self._statement(Node(module, place))
                yield Statement(module, statement)

    def whole_modules(self) -> dict[str, str]:
        """Modules that count whole, and why."""
        return {
            n.module: self._whole(n.module) for n in self._order if n.place is None and self._whole(n.module)
        }

    def loaded_modules(self) -> tuple[str, ...]:
        """All modules that are imported, in that order."""
        return tuple(self._loaded)

    # -- what is learnt

    # -- one pass

    def _link(self) -> None:
        self._begin()
        self._order: list[Node] = []
        self._index: dict[Node, int] = {}
        self._late: dict[str, int] = {}
        for root in self._roots:
            self._load(root)
        main = dict(self._loaded)
        for module in self._loaded if self._everything else self._roots:
            self._number(Node(module))
        for module in self._loaded:
            self._learn(self._reads, self._renamed_reads(module))
        events = list(self._events)
        head = "|".join(
            e if isinstance(e, str) else f"<{self._number(Node(e.module))}:{e.place}>" for e in events
        )
        lines = [head]
        done = 0
        while done < len(self._order) or len(self._late) > len(lines) - 1 - done:
            if done < len(self._order):
                lines.append(self._described(self._order[done]))
                done += 1
            else:
                late = list(self._late)[len(lines) - 1 - done]
                lines.append(self._loaded_late(late, main))
        self._loaded.update(dict.fromkeys(self._late))
        if self._told_texts & self._stored:
            self._learn(
                self._reads, {"text"}
            )  # another object may have been put in the place of one of these
        if self._everything:
            lines += list(self._loaded)
        self._text = "\n".join(lines)

    def _loaded_late(self, module: str, main: dict[str, None]) -> str:
        """What happens where a function imports a module that was not imported before."""
        kept = self._loaded, self._events, self._epoch, self._outside
        self._loaded, self._events, self._outside = dict(main), [], set(self._outside)
        self._load(module)
        events, own = self._events, [m for m in self._loaded if m not in main]
        self._loaded, self._events, self._epoch, self._outside = kept
        if any(isinstance(e, Node) for e in events):
            for name in own:
                self._force(name, "imported by a function, with effects")
        names = [e if isinstance(e, str) else f"<{self._number(Node(e.module))}:{e.place}>" for e in events]
        return f"late {'|'.join(names)}"

    def _renamed_reads(self, module: str) -> set[str]:
        """What a module may look at under another name: ``from typing import get_type_hints as hints``."""
        facts = self._files.facts(module)
        return {
            kind
            for statement in (facts["statements"] if facts else ())
            if any(attribute not in (None, name) for name, _, attribute in statement.get("imports", ()))
            for kind in statement["reads"]
        }

    # -- nodes

    def _number(self, node: Node) -> int:
        if node not in self._index:
            self._index[node] = len(self._order)
            self._order.append(node)
        return self._index[node]

    def _described(self, node: Node) -> str:
        facts = self._files.facts(node.module)
        if facts is None:
            return "folder" + self._below(node.module)
        extra = f" doc {facts['doc']}" if "doc" in self._reads else ""
        extra += f" of {node.module}" if "paths" in self._reads or self._everything else ""
        if node.place is not None:
            return self._text_of(node, False) + extra
        if self._whole(node.module):
            texts = [self._text_of(Node(node.module, p), True) for p in range(len(facts["statements"]))]
            return f"whole{extra} " + "; ".join(texts) + self._below(node.module)
        names = []
        for place, statement in enumerate(facts["statements"]):
            for name in statement["binds"]:
                if self._counts(name, statement, node.module):
                    found = self._bound(node.module, name, [], ())
                    names.append(f"{name}={self._shown(found, False)}")
                    del place
                    break
        return f"module{extra} " + "; ".join(names)

    def _below(self, package: str) -> str:
        """The modules of a package that may be read as its attributes, where it is handed around as a value."""
        found = ""
        for module in self._loaded if package in self._handed else ():
            room, _, name = module.rpartition(".")
            read = {name, f"{name}()"} & self._words or "names" in self._reads
            if room == package and module not in self._roots and read:
                self._escape(module)
                self._learn(self._handed, {module})
                found += f" {name}=<{self._number(Node(module))}>"
        return found

    def _counts(self, name: str, statement: Facts, module: str) -> bool:
        """Whether code that holds a module may reach a name of it.

        The first root is where a program begins: its public names are for others. Of the other roots, which are
        loaded by name, code reads what it names; constants may be read from their source, too.
        """
        if statement["kind"] == "import":
            return self._is_read(name, statement)
        loaded = module in self._roots[1:] and statement["kind"] in _DEFINITIONS
        public = not name.startswith("_") and not loaded
        return (
            public
            or name.startswith("__")
            or bool({name, f"{name}()"} & self._words or "names" in self._reads)
        )

    def _is_read(self, name: str, statement: Facts) -> bool:
        """Whether code reads an attribute of this name of something unknown; what is called at once is no module."""
        target, attribute = next((t, a) for n, t, a in statement["imports"] if n == name)
        is_module = attribute is None or self._files.exists(f"{target}.{attribute}")
        return name in self._words or (not is_module and f"{name}()" in self._words)

    def _text_of(self, node: Node, whole: bool) -> str:
        statement = self._statement(node)
        self._learn(self._reads, set(statement["reads"]))
        if not all(self._only_holds(name, node.module) for name in statement["says"]):
            self._learn(self._reads, {"text"})
        if "everything" in statement["needs"] and not self._everything:
            self._everything = self._learnt = True
        if "module" in statement["needs"]:
            self._force(node.module, f"line {statement['line']}: names are looked up when it runs")
        self._learn(self._words, set(statement["words"]))
        self._foreign |= set(statement["foreign"])
        self._stored |= set(statement["stored"])
        facts = self._files.facts(node.module)
        assert facts is not None
        self._told_texts |= {*facts["loggers"], *statement["says"]}
        if self._foreign & self._stored and not self._everything:
            self._everything = self._learnt = True  # a module may have been put where names are searched
        epoch = f"e{self._epochs.get(node, -1)} "
        if statement["kind"] == "import":
            return epoch + self._imported_names(node.module, statement)
        return epoch + self._joined(statement["pieces"], node.module, whole)

    def _imported_names(self, module: str, statement: Facts) -> str:
        """An import in a module that counts whole: its names, and what others may reach through them."""
        shown = []
        facts = self._files.facts(module)
        assert facts is not None
        held = module in self._roots or module in self._escaped
        wide = self._everything or any("imports" in s["needs"] for s in facts["statements"])
        for name, target, attribute in statement["imports"]:
            text = name
            if attribute == "*":
                self._learn(self._handed, {target})  # names in its `__all__` may be its modules
                text += "=" + self._shown(self._target(target, None, [], ()), False)
            elif wide or (held and self._is_read(name, statement)):
                text += "=" + self._shown(self._target(target, attribute, [], ()), False)
            elif not is_own(target):
                text += f"={target}:{attribute}"
            shown.append(text)
        return "import " + ",".join(shown)

    def _joined(self, pieces: Pieces, module: str, whole: bool) -> str:
        words = []
        for piece in pieces:
            if isinstance(piece, str):
                words.append(piece)
                continue
            kind = piece[0]
            if kind == "r":
                name, chain = piece[1], piece[2]
                found = self._bound(module, name, chain, (), inside=whole)
                self._hand(found)
                shown = self._shown(found, whole)
                words.append(f"g:{'.'.join([name, *chain])}{shown}" if whole else shown)
            elif kind == "i":
                found = self._target(piece[1], piece[2], piece[3], ())
                self._hand(found)
                words.append(self._shown(found, False))
            elif kind == "l":
                words += [self._load_shown(name) for name in piece[1]]
            elif kind == "p":
                for name in [m for m in self._loaded if m.startswith(piece[1])]:
                    if name not in self._roots:
                        self._escape(name)
                        words.append(f"<{self._number(Node(name))}>")
            elif kind == "o":
                if piece[1] in self._reads:
                    words.append(self._joined(piece[2], module, whole))
            elif kind == "x":
                self._told_texts.add(piece[1][1])
                if "text" in self._reads or not self._is_plain(piece[1], module):
                    words.append(self._joined(piece[2], module, whole))
        return "".join(words)

    def _hand(self, found: Found) -> None:
        for node in found.nodes if not found.rest else ():
            if node.place is None and node.module not in self._handed:
                self._learn(self._handed, {node.module})

    def _load_shown(self, name: str) -> str:
        if not is_own(name):
            standard = name.partition(".")[0] in STANDARD
            return "" if standard or name in self._outside else f"<load {name}>"
        if not self._files.exists(name):
            return f"<absent {name}>"
        if name not in self._loaded and name not in self._late:
            self._late[name] = len(self._late)
        return f"<late {self._late[name]}>" if name in self._late else ""

    def _shown(self, found: Found, whole: bool) -> str:
        numbers = ",".join(str(self._number(n)) for n in found.nodes)
        own = {self._epochs.get(n, -1) for n in found.nodes if n.place is not None}
        hops = sorted(set(found.hops) - own)
        when = "@" + ",".join(map(str, hops)) if hops else ""
        several = [n for n in found.nodes if n.place is not None and len(self._statement(n)["binds"]) > 1]
        rest = found.rest if not several else f"{found.rest}"
        return f"<{numbers}{when}>{'' if whole else rest}"
