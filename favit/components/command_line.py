"""A command line whose mistakes take one line. Here, since every room with a program imports this one."""

from __future__ import annotations

import argparse
from typing import NoReturn

MISUSED = 2


class Parser(argparse.ArgumentParser):
    """Reports a wrong command line in one line and exits with status 2; ``--help`` shows the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(MISUSED, f"{self.prog}: {message}; see {self.prog} --help\n")
