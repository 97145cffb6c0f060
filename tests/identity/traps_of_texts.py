# ruff: noqa: E501 - a program a line
"""More of `traps.py`: texts of errors, prints and logs that something reads, in each of the ways in which it can."""

from __future__ import annotations

from tests.identity.traps import CALL, Case, case

LOOKING = "N = []\nclass {name}(Exception):\n    def __init__(self, text=''):\n        N.append(len(text))\n"
# `g` fails with a text, which `h` puts into the text of another error.
PUT_INTO = (
    "def g():\n    raise KeyError('one')\n"
    "def h({given}):\n    try:\n        g()\n    except KeyError as e:\n        raise {error}\n"
    "def f(x):\n    try:\n        h({with_what})\n    except Exception:\n        return list(N)\n"
)


def put(
    what: str,
    error: str,
    name: str = "E",
    given: str = "",
    with_what: str = "",
    above: str = "",
    **files: str,
) -> Case:
    """A text that is put into an error whose class looks at it."""
    program = PUT_INTO.format(error=error, given=given, with_what=with_what)
    a = (above or LOOKING.format(name=name)) + program
    return case(what, "a", "'one'", "'three'", root=CALL, a=a, **files)


# Another class stands where `favit.a` has a plain one.
REPLACING = (
    "import favit.a\n"
    + LOOKING.format(name="L")
    + "favit.a.E = L\ndef run():\n    favit.a.f(1)\n    return list(N)\n"
)
READING = "    try:\n        g()\n    except {kind} as e:\n        return {what}\n"

TEXTS: list[Case] = [
    put("a text put into an own error", "E(f'{e}')"),
    put("an attribute put into an own error", "E(f'{e.args}')"),
    put("str of an error put into an own error", "E(str(e))"),
    put("a text put into an error that hides a builtin one", "ValueError(f'{e}')", name="ValueError"),
    put("a text put into an error that is given", "kind(f'{e}')", given="kind", with_what="E"),
    put("a text put into an error of a hidden name", "Plain(f'{e}')", given="Plain", with_what="E",
        above=LOOKING.format(name="E") + "class Plain(Exception):\n    pass\n"),
    put("a text put into an error from elsewhere", "E(f'{e}')", above="from favit.b import E, N\n", b=LOOKING.format(name="E")),
    put("a text put into an error derived from one that looks", "F(f'{e}')",
        above=LOOKING.format(name="E") + "class F(E):\n    '''Plain.'''\n"),
    put("a text put into what is called and no class", "make(f'{e}')",
        above=LOOKING.format(name="E") + "def make(text):\n    return E(text)\n"),
    case("the length of a text", "a", "'one'", "'three'", root=CALL,
         a="def g():\n    raise KeyError('one')\ndef f(x):\n" + READING.format(kind="KeyError", what="len(str(e))")),
    case("a text put into another, which is read", "a", "'one'", "'two'", root=CALL,
         a="class E(ValueError):\n    pass\ndef g():\n    try:\n        raise KeyError('one')\n    except KeyError as e:\n"
           "        raise E(f'{e}') from None\ndef f(x):\n" + READING.format(kind="E", what="str(e)")),
    case("the text of an assertion that is read", "a", "'one'", "'two'", root=CALL,
         a="def g():\n    assert False, 'one'\ndef f(x):\n" + READING.format(kind="AssertionError", what="str(e)")),
    case("what an assertion calls for its text", "a", "say(1)", "say(2)", root=CALL,
         a="L = []\ndef say(n):\n    L.append(n)\n    return n\ndef f(x):\n    try:\n        assert not x, f'one {say(1)}'\n"
           "    except AssertionError:\n        return list(L)\n"),
    case("what is asserted", "a", "x > 0", "x > 1", root=CALL,
         a="def f(x):\n    try:\n        assert x > 0, 'one'\n    except AssertionError:\n        return 2\n    return 3\n"),
    case("the width of a text comes of an error", "a", "'5'", "'6'", root=CALL,
         a="L = []\nclass V:\n    def __format__(self, spec):\n        L.append(spec)\n        return ''\n"
           "def g():\n    raise ValueError('5')\ndef f(x):\n    try:\n        try:\n            g()\n        except ValueError as e:\n"
           "            raise TypeError(f'{V():{e}}')\n    except TypeError:\n        return list(L)\n"),
    case("what is printed at once and caught", "a", "'one'", "'two'", root=CALL,
         a="import contextlib, io\ndef f(x):\n    file = io.StringIO()\n    with contextlib.redirect_stdout(file):\n"
           "        print('one', flush=True)\n    return file.getvalue()\n"),
    case("a print whose end is read by what prints", "a", "end='a'", "end='b'", root=CALL,
         a="import sys, io\ndef f(x):\n    kept, sys.stdout = sys.stdout, io.StringIO()\n    print('one', end='a')\n"
           "    kept, sys.stdout = sys.stdout, kept\n    return kept.getvalue()\n"),
    case("what is printed after the screen was put away", "a", "'one'", "'two'", root=CALL,
         a="import sys, io\ndef f(x):\n    kept, sys.stdout = sys.stdout, io.StringIO()\n    print('one')\n"
           "    kept, sys.stdout = sys.stdout, kept\n    return kept.getvalue()\n"),
    case("a print that was put in place of Python's", "a", "'one'", "'two'", root=CALL,
         a="import builtins\nL = []\ndef f(x):\n    kept, builtins.print = builtins.print, L.append\n    print('one')\n"
           "    builtins.print = kept\n    return list(L)\n"),
    case("a log that a handler of one's own reads", "a", "'one'", "'two'", root=CALL,
         a="import logging\nL = []\nclass H(logging.Handler):\n    def emit(self, record):\n        L.append(record.msg)\n"
           "log = logging.getLogger('traps')\nlog.addHandler(H())\ndef f(x):\n    log.warning('one')\n    return list(L)\n"),
    case("a log that is written into memory", "a", "'one'", "'two'", root=CALL,
         a="import io, logging\nfile = io.StringIO()\nlogging.basicConfig(stream=file, force=True, format='%(message)s')\n"
           "def f(x):\n    logging.warning('one')\n    return file.getvalue()\n"),
    case("a log whose filter reads it", "a", "'one'", "'two'", root=CALL,
         a="import logging\nL = []\nlog = logging.getLogger('more traps')\n"
           "def f(x):\n    log.addFilter(lambda r: bool(L.append(r.msg)))\n    log.warning('one')\n    return list(L)\n"),
    case("a logger that is none", "a", "'one'", "'two'", root=CALL,
         a="class C:\n    def info(self, text):\n        return text\nlog = C()\ndef f(x):\n    return log.info('one')\n"),
    case("a logger that is hidden", "a", "'one'", "'two'", root=CALL,
         a="import logging\nclass C:\n    def info(self, text):\n        return text\nlog = logging.getLogger('x')\n"
           "def f(x):\n    log = C()\n    return log.info('one')\n"),
    case("a logger that is bound again", "a", "'one'", "'two'", root=CALL,
         a="import logging\nclass C:\n    def info(self, text):\n        return text\nlog = logging.getLogger('x')\nlog = C()\n"
           "def f(x):\n    return log.info('one')\n"),
    case("a logger that another module puts in place", "a", "'one'", "'two'",
         root="import favit.a\nclass C:\n    def info(self, text):\n        return text\nfavit.a.log = C()\n"
              "def run():\n    return favit.a.f(1)\n",
         a="import logging\nlog = logging.getLogger('x')\ndef f(x):\n    return log.info('one')\n"),
    case("a class of errors that another module puts in place", "a", "'one'", "'three'",
         root=REPLACING,
         a="class E(Exception):\n    pass\ndef f(x):\n    try:\n        raise E('one')\n    except Exception:\n        return 1\n"),
    case("a class of errors put in place, into which a text is put", "a", "'one'", "'three'",
         root=REPLACING,
         a="class E(Exception):\n    pass\ndef g():\n    raise KeyError('one')\ndef h():\n    try:\n        g()\n"
           "    except KeyError as e:\n        raise E(f'{e}')\ndef f(x):\n    try:\n        h()\n    except Exception:\n        return 1\n"),
    case("what is put into a log", "a", "say(1)", "say(2)", root=CALL,
         a="import logging\nL = []\nlog = logging.getLogger('x')\ndef say(n):\n    L.append(n)\n    return n\n"
           "def f(x):\n    log.info('one %s', say(1))\n    return list(L)\n"),
    case("a logger's method that is no saying", "a", "'x.a'", "'x.bc'", root=CALL,
         a="import logging\nlog = logging.getLogger('x.a')\ndef f(x):\n    return log.name\n"),
    case("a child of a logger", "a", "'a'", "'b'", root=CALL,
         a="import logging\nlog = logging.getLogger('x')\ndef f(x):\n    return log.getChild('a').name\n"),
]  # fmt: skip
