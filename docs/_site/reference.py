"""Makes the pages of ``docs/reference/`` from the declarations: ``make reference``.

The pages are part of the repository, so that they can be read without building anything, and so that a change of
what people can set or type is seen in its diff. ``make docs`` holds them to a fresh making (``--check``), and so does
``tests/test_docs_reference.py``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FOLDER = ROOT / "docs" / "reference"


def pages() -> dict[str, Callable[[], str]]:
    """File name -> what makes its content."""
    import configuration
    import programs

    return {
        "config.md": configuration.config_page,
        "settings.md": configuration.settings_page,
        "components.md": configuration.components_page,
        "profiles.md": programs.profiles_page,
        "commands.md": programs.commands_page,
        "files.md": programs.files_page,
        "exit-codes.md": programs.exit_codes_page,
    }


def main(check: bool) -> None:
    """Write every page; or end with 1 where one is not what would be written."""
    outdated = []
    for name, make in pages().items():
        path, content = FOLDER / name, make()
        if check and path.read_text(encoding="utf-8") != content:
            outdated.append(f"docs/reference/{name}")
        elif not check:
            path.write_text(content, encoding="utf-8")
    if outdated:
        sys.exit(f"of before: {', '.join(outdated)}; make reference")


if __name__ == "__main__":
    sys.path[:0] = [str(HERE), str(ROOT), str(ROOT / "jobs")]
    main(check="--check" in sys.argv[1:])
