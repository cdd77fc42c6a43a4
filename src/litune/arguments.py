"""The parser that every command line of litune is read with."""

from __future__ import annotations

import argparse
from typing import NoReturn

from litune.errors import InputError, Problem

WHERE = "command line"


class Arguments(argparse.ArgumentParser):
    """An argument parser whose complaints are InputErrors."""

    def error(self, message: str) -> NoReturn:
        """Raise InputError instead of printing a usage text."""
        raise InputError(Problem(where=WHERE, got=message, expected=f"what {self.prog} --help says"))
