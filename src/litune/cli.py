"""The command line: `search.py`, `train.py`, and the `litune` command. Every mistake exits 2 in litune's one form."""

from __future__ import annotations

import atexit
import errno
import gc
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from litune import interrupts
from litune.arguments import WHERE
from litune.errors import InputError, LituneError, Problem, StudyLocked, nearest

if TYPE_CHECKING:
    import argparse

    from omegaconf import DictConfig


# a full or read-only disk and the like, at a place where nothing was to be checked beforehand: no fault of the program
_SURROUNDINGS = (
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EISDIR, errno.ENOTDIR,
    errno.EMFILE, errno.ENFILE, errno.EFBIG, errno.ENAMETOOLONG, errno.ESTALE,
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run `litune COMMAND ...` and return the exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given and given[0] in ("-sc", "--shell-completion"):  # the shell asks `litune`, whatever the command is
        words = os.environ.get("COMP_LINE", "").split(" ")
        os.environ["COMP_LINE"] = " ".join(word for place, word in enumerate(words) if place != 1)
        return search_main(given, program="litune search")
    if not given or given[0] in ("-h", "--help"):
        print(_usage())
        return 0 if given else 2
    return _reported(lambda: _dispatch(given[0], given[1:]))


def search_main(argv: Sequence[str] | None = None, *, program: str = "python search.py") -> int:
    """Run or continue a search and return the exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    return _reported(lambda: interrupts.stoppable(lambda: _search(given, program)))


def train_main(argv: Sequence[str] | None = None, *, program: str = "python train.py") -> int:
    """Train once, or replay a recorded trial, and return the exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    return _reported(lambda: interrupts.stoppable(lambda: _train(given, program), "train again with"))


def _dispatch(command: str, argv: list[str]) -> int:
    if command == "search":
        return search_main(argv, program="litune search")
    if command == "train":
        return train_main(argv, program="litune train")
    from litune.commands import COMMANDS

    if command in COMMANDS:
        return COMMANDS[command](command, argv)
    known = ["search", "train", *COMMANDS]
    expected = f"one of {', '.join(known)}"
    raise InputError(Problem(where=WHERE, got=command, expected=expected, nearest=nearest(command, known)))


def _search(argv: list[str], program: str) -> int:
    from litune import launch
    from litune.config import manual

    def carry_out(config: DictConfig, options: argparse.Namespace) -> int:
        from litune import driver

        try:
            return driver.run_search(config)
        except StudyLocked:
            if not options.join:
                raise
        from litune import checks
        from litune.commands import follow

        return follow.follow(config, checks.load_space(config))

    return launch.run(argv, program, manual.SEARCH, carry_out, searching=True)


def _train(argv: list[str], program: str) -> int:
    from litune import launch
    from litune.config import manual

    if any(word.startswith(("replay=", "trial=")) for word in argv):
        return _replay(argv)

    def carry_out(config: DictConfig, _options: argparse.Namespace) -> int:
        from litune import single

        return single.train(config)

    return launch.run(argv, program, manual.TRAIN, carry_out, searching=False)


def _replay(argv: list[str]) -> int:
    given = dict(word.split("=", 1) for word in argv if "=" in word)
    problems = [
        Problem(
            where=WHERE, got=word, expected="only replay=RUN and trial=NUMBER: a replay takes its config from the run"
        )
        for word in argv
        if word.partition("=")[0] not in ("replay", "trial")
    ]
    for key, expected in (("replay", "a run directory, or its name under runs/"), ("trial", "the number of a trial")):
        if not given.get(key):
            problems.append(Problem(where=WHERE, key=key, got="nothing", expected=expected))
    if given.get("trial") and not given["trial"].isdecimal():
        problems.append(Problem(where=WHERE, key="trial", got=repr(given["trial"]), expected="the number of a trial"))
    if problems:
        raise InputError(problems)
    from litune import single

    return single.replay(given["replay"], int(given["trial"]))


def _spare_the_last_search() -> None:
    """Have Python end without its search for garbage among the million objects of the libraries."""
    if "triton" not in sys.modules:  # whose bindings would take what is then left for leaks, and print them
        gc.freeze()


def _reported(action: Callable[[], int]) -> int:
    """Run the action; print litune's own errors in their form and return their exit code."""
    atexit.register(_spare_the_last_search)
    try:
        return action()
    except InputError as error:
        print("\n".join(str(problem) for problem in error.problems), file=sys.stderr)
        return error.exit_code
    except LituneError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # the reader, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.errno not in _SURROUNDINGS:
            raise
        cure = "; make room, and give the same command again" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        print(f"{error.filename or 'a file'}: {error.strerror}{cure}", file=sys.stderr)
        return 1


def _usage() -> str:
    from litune.commands import COMMANDS

    rows = {"search": "run or continue a search", "train": "train once, the best again, or replay a trial"}
    rows |= {name: command.meaning for name, command in COMMANDS.items()}
    lines = "\n".join(f"  {name:<10} {meaning}" for name, meaning in rows.items())
    return f"usage: litune COMMAND ...\n\n{lines}\n\nlitune COMMAND --help tells more"
