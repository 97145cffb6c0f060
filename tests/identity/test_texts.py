"""Texts that nobody reads, of errors, prints and logs, do not count; what is put into them does."""

from __future__ import annotations

from pathlib import Path

import pytest

from favit.identity.definitions import Sources

ROOT = "from favit.a import f\ndef run():\n    return f(1)\n"
SAYS = [
    "def f(x):\n    raise ValueError('one')\n",
    "class E(ValueError):\n    '''Refused.'''\ndef f(x):\n    raise E(f'one {x}')\n",
    "def f(x):\n    assert x, 'one'\n",
    "def f(x):\n    assert x, f'one {x}'\n",
    "def f(x):\n    print('one', x)\n",
    "def f(x):\n    print('one', x, flush=True)\n",
    "import logging\ndef f(x):\n    logging.info('one %s', x)\n",
    "import logging as told\ndef f(x):\n    told.warning('one')\n",
    "import logging\nlog = logging.getLogger(__name__)\ndef f(x):\n    log.info(f'one {x}')\n",
    "from logging import getLogger\nlog = getLogger('x')\ndef f(x):\n    log.log(10, 'one %s', x)\n",
    "import logging\nlog = logging.getLogger('x')\nclass C:\n    def g(self):\n        log.debug('one')\n"
    "def f(x):\n    return C().g()\n",
]
# Handlers that put what they catch into another text, in whose closure the text above changes, too.
HANDLERS = [
    "    except ValueError as e:\n        raise\n",
    "    except ValueError as e:\n        raise e\n",
    "    except ValueError as e:\n        raise TypeError(f'again: {e}') from e\n",
    "    except ValueError as e:\n        raise TypeError(str(e)) from None\n",
    "    except SyntaxError as e:\n        raise Told(f'{x}, line {e.lineno}: {e.msg}') from None\n",
    "    except ValueError as e:\n        raise Told(f'{x}: {e}') from e\n",
]


def digest(folder: Path, text: str) -> str:
    package = folder / "favit"
    package.mkdir(exist_ok=True)
    for name, source in {
        "__init__": "",
        "root": ROOT,
        "a": text,
        "errors": "class Told(ValueError):\n    pass\n",
    }.items():
        (package / f"{name}.py").write_text(source)
    return Sources(folder).code(["favit.root"]).digest


@pytest.mark.parametrize("text", SAYS)
def test_what_is_only_said_does_not_count(text: str, tmp_path: Path) -> None:
    assert text.count("one") == 1
    assert digest(tmp_path, text) == digest(tmp_path, text.replace("'one", "'another"))
    if "x}" in text or ", x" in text:
        changed = text.replace("{x}", "{-x}").replace(", x", ", -x")
        assert digest(tmp_path, text) != digest(tmp_path, changed)


@pytest.mark.parametrize("handler", HANDLERS)
def test_texts_that_are_put_into_other_errors_do_not_count(handler: str, tmp_path: Path) -> None:
    text = (
        "from favit.errors import Told\ndef g(x):\n    raise ValueError('one')\n"
        f"def f(x):\n    try:\n        return g(x)\n{handler}"
    )
    assert digest(tmp_path, text) == digest(tmp_path, text.replace("'one", "'another"))
