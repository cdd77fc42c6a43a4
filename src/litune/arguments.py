"""The parser that every command line of litune is read with."""

from __future__ import annotations

import argparse
import re
from typing import NoReturn

from litune.errors import InputError, Problem, nearest

WHERE = "command line"
_ABSENT = re.compile(r"the following arguments are required: (?P<key>.+)")
_SURPLUS = re.compile(r"unrecognized arguments: (?P<got>.+)")
_TYPE = re.compile(r"argument (?P<key>\S+): invalid (?P<kind>\S+) value: (?P<got>.+)")
_CHOICE = re.compile(r"argument (?P<key>\S+): invalid choice: (?P<got>.+) \(choose from (?P<known>.+)\)")


class Arguments(argparse.ArgumentParser):
    """An argument parser whose complaints are InputErrors."""

    def error(self, message: str) -> NoReturn:
        """Raise InputError instead of printing a usage text."""
        raise InputError(self._problem(message))

    def _problem(self, message: str) -> Problem:
        """Return argparse's words, which it has no other form of, in litune's one form."""
        cure = f"see {self.prog} --help"
        if said := _ABSENT.fullmatch(message):
            return Problem(where=WHERE, key=said["key"], got="nothing", expected="a value", cure=cure)
        if said := _SURPLUS.fullmatch(message):
            return Problem(where=WHERE, got=said["got"], expected="nothing more", cure=cure)
        if said := _TYPE.fullmatch(message):
            return Problem(where=WHERE, key=said["key"], got=said["got"], expected=said["kind"])
        if said := _CHOICE.fullmatch(message):
            known = [word.strip("' ") for word in said["known"].split(",")]
            near = nearest(said["got"].strip("'"), known)
            expected = f"one of {', '.join(known)}"
            return Problem(where=WHERE, key=said["key"], got=said["got"], expected=expected, nearest=near)
        return Problem(where=WHERE, got=message, expected=f"what {self.prog} --help says")
