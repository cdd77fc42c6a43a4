"""What litune raises, drawn once.

    LituneError
    ├── InputError         what a person typed or wrote is wrong; carries every Problem found; exit code 2
    │   ├── MissingExtra   an optional dependency is absent; carries the pip line
    │   ├── StudyChanged   a study is resumed with another config, space or seed
    │   └── StudyLocked    another driver is at work on the study
    ├── LedgerDamaged      the ledger is not one, was cut, or is of a newer version; exit code 2
    │   └── SearchAbsent   there is no such search in it
    ├── LedgerUnwritable   the disk is full, or the database is gone, in mid-search; exit code 1
    └── SearchFailed       the search ran and could not end well; exit code 1

A Problem prints as `FILE:LINE: key.path: got X; expected Y; did you mean Z? CURE`, with the parts that are known.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong with what the user gave.

    `where` is a file, `FILE:LINE`, or `command line`; `got` is already formatted (use repr for values).
    """

    where: str = ""
    key: str = ""
    got: str = ""
    expected: str = ""
    nearest: str | None = None
    cure: str = ""

    def __str__(self) -> str:
        """Return the problem in litune's one form."""
        head = "".join(f"{part}: " for part in (self.where, self.key) if part)
        body = [f"got {self.got}"] if self.got else []
        body += [f"expected {self.expected}"] if self.expected else []
        body += [f"did you mean {self.nearest}?"] if self.nearest else []
        text = head + "; ".join(body)
        if self.cure:
            text += (" " if body and self.nearest else "; " if body else "") + self.cure
        return text


class LituneError(Exception):
    """Every error that litune raises on purpose."""

    exit_code = 1


class InputError(LituneError):
    """What the user gave is wrong; `problems` holds everything that was found."""

    exit_code = 2

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems: Sequence[Problem] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class MissingExtra(InputError):
    """An optional dependency is not installed."""

    def __init__(self, extra: str, needed_for: str) -> None:
        cure = f"install it with: pip install 'litune[{extra}]'"
        super().__init__(Problem(key=needed_for, got="a missing package", expected=f"the extra {extra!r}", cure=cure))


class StudyChanged(InputError):
    """A study is resumed with another config, space or seed than it was made with."""


class StudyLocked(InputError):
    """Another driver is at work on the study."""


class LedgerDamaged(LituneError):
    """The ledger cannot be read as one; `cure` is what a person can do."""

    exit_code = 2

    def __init__(
        self, what: str, cure: str = "restore the run directory from a copy, or give the search another name="
    ) -> None:
        self.what, self.cure = what, cure
        super().__init__(f"{what}; {cure}")


class SearchAbsent(LedgerDamaged):
    """The ledger does not hold the search of its run directory; `names` are those that it holds."""

    def __init__(self, what: str, cure: str, names: Sequence[str]) -> None:
        self.names = names
        super().__init__(what, cure)


class LedgerUnwritable(LituneError):
    """What was learnt cannot be made durable; what was durable before still is."""


class SearchFailed(LituneError):
    """The search ran, and could not end well."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like `name`, or None where none is."""
    names = list(known)
    by_case = {candidate.lower(): candidate for candidate in names}
    found = difflib.get_close_matches(name.lower(), by_case, n=1, cutoff=0.6)
    if found:
        return by_case[found[0]]
    leaves = {candidate.rsplit(".", 1)[-1].lower(): candidate for candidate in names}
    found = difflib.get_close_matches(name.rsplit(".", 1)[-1].lower(), leaves, n=1, cutoff=0.75)
    return leaves[found[0]] if found else None
