"""The command line: `search.py`, `train.py`, and the `litune` command. Every mistake exits 2 in litune's one form."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from litune.errors import InputError, LituneError, Problem, nearest

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from litune.compose import Composed

COMMANDS = ("search", "train", "doctor", "list", "trials", "best", "digest", "report", "compare", "nni-env",
            "nni-check")  # fmt: skip
WHERE = "command line"


class Arguments(argparse.ArgumentParser):
    """An argument parser whose complaints are InputErrors."""

    def error(self, message: str) -> NoReturn:
        """Raise InputError instead of printing a usage text."""
        raise InputError(Problem(where=WHERE, got=message, expected=f"what {self.prog} --help says"))


def main(argv: Sequence[str] | None = None) -> int:
    """Run `litune COMMAND ...` and return the exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given and given[0] in ("-sc", "--shell-completion"):  # the shell asks `litune`, whatever the command is
        words = os.environ.get("COMP_LINE", "").split(" ")
        os.environ["COMP_LINE"] = " ".join(word for place, word in enumerate(words) if place != 1)
        return search_main(given, program="litune search")
    if not given or given[0] in ("-h", "--help"):
        print(__doc__ and _usage())
        return 0 if given else 2
    return _reported(lambda: _dispatch(given[0], given[1:]))


def search_main(argv: Sequence[str] | None = None, *, program: str = "python search.py") -> int:
    """Run or continue a search and return the exit code."""
    return _reported(lambda: _search(list(sys.argv[1:] if argv is None else argv), program))


def train_main(argv: Sequence[str] | None = None, *, program: str = "python train.py") -> int:
    """Train once, or replay a recorded trial, and return the exit code."""
    return _reported(lambda: _train(list(sys.argv[1:] if argv is None else argv), program))


def _dispatch(command: str, argv: list[str]) -> int:
    if command == "search":
        return search_main(argv, program="litune search")
    if command == "train":
        return train_main(argv, program="litune train")
    if command == "doctor":
        from litune import doctor

        Arguments(prog="litune doctor", description=doctor.__doc__).parse_args(argv)
        return doctor.main()
    if command in ("nni-env", "nni-check"):
        return _nni(command, argv)
    if command in COMMANDS:
        return _report(command, argv)
    known = ", ".join(COMMANDS)
    raise InputError(Problem(where=WHERE, got=command, expected=f"one of {known}", nearest=nearest(command, COMMANDS)))


def _nni(command: str, argv: list[str]) -> int:
    parser = Arguments(prog=f"litune {command}")
    if command == "nni-check":
        parser.add_argument("file", type=Path, help="a config file of nnictl")
    options = parser.parse_args(argv)
    if command == "nni-env":
        from litune.backends.nni import env

        print(env.export_line())
        return 0
    from litune.backends.nni import checks

    if problems := checks.check_file(options.file):
        raise InputError(problems)
    print(f"{options.file}: nothing wrong found")
    return 0


def _report(command: str, argv: list[str]) -> int:
    parser = Arguments(prog=f"litune {command}")
    if command == "list":
        parser.add_argument("root", nargs="?", default="runs", help="directory of the run directories")
    else:
        many = "+" if command == "compare" else None
        parser.add_argument("run", nargs=many, help="a run directory, or its name under runs/")
    if command == "trials":
        parser.add_argument("--format", choices=("table", "csv", "json"), default="table")
    if command == "report":
        parser.add_argument("--format", choices=("html", "md"), default="html")
        parser.add_argument("--out", help="the file to write; without it RUN/report.html, or the terminal for md")
    options = parser.parse_args(argv)
    if command == "report":
        from litune.report import page

        return page.write_report(options.run, options.format, options.out)
    if command == "compare":
        from litune.report import compare

        return compare.show_comparison(options.run)
    from litune.report import runs

    if command == "list":
        return int(runs.list_runs(options.root))
    if command == "trials":
        return int(runs.show_trials(options.run, options.format))
    return int(getattr(runs, {"best": "show_best", "digest": "show_digest"}[command])(options.run))


def _search(argv: list[str], program: str) -> int:
    from litune import manual

    def run(config: DictConfig) -> int:
        from litune import driver

        return driver.run_search(config)

    return _run(argv, program, manual.SEARCH, run, searching=True)


def _train(argv: list[str], program: str) -> int:
    from litune import manual

    if any(word.startswith(("replay=", "trial=")) for word in argv):
        return _replay(argv)

    def run(config: DictConfig) -> int:
        from litune import driver

        return driver.run_single(config)

    return _run(argv, program, manual.TRAIN, run, searching=False)


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
    from litune import driver

    return driver.replay(given["replay"], int(given["trial"]))


def _run(argv: list[str], program: str, usage: str, run: Callable[[DictConfig], int], *, searching: bool) -> int:
    """Do what Hydra's own main would: help, completion, show the config, or run it once or for each combination."""
    options = _options(argv, program)
    if options.help:
        _print_help(usage, program, options.config_dir)
        return 0
    from litune import compose, hydra_app

    overrides = list(options.overrides)
    if options.shell_completion or options.info:
        with hydra_app.opened(options.config_dir) as app:
            if options.shell_completion:
                app.shell_completion(hydra_app.PRIMARY, overrides)
            else:
                app.show_info(options.info, hydra_app.PRIMARY, overrides)
        return 0
    if options.cfg:
        one = compose.compose(overrides, config_dir=options.config_dir, config_file=options.config_file)
        compose.show(one, options.config_dir, options.cfg, options.package, resolve=options.resolve)
        return 0
    jobs = compose.expand(overrides) if options.multirun else [overrides]
    composed = [_checked(job, options, searching=searching) for job in jobs]
    names = [one.config.name for one in composed if one.config.name]
    if len(set(names)) < len(names):
        expected = "a name for each run, or none: then each gets its own"
        raise InputError(Problem(where=WHERE, key="name", got=f"{names[0]} for {len(jobs)} runs", expected=expected))
    return max(_started(one, run, job if len(jobs) > 1 else None) for one, job in zip(composed, jobs, strict=True))


def _options(argv: list[str], program: str) -> argparse.Namespace:
    parser = Arguments(prog=program, add_help=False, allow_abbrev=False)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--help", "-h", action="store_true")
    parser.add_argument("--cfg", "-c", choices=("job", "hydra", "all"))
    parser.add_argument("--resolve", action="store_true")
    parser.add_argument("--package", "-p")
    parser.add_argument("--multirun", "-m", action="store_true")
    parser.add_argument("--config-dir", "-cd", type=Path)
    parser.add_argument("--config-file", type=Path)
    parser.add_argument("--info", "-i", nargs="?", const="all")
    parser.add_argument("--shell-completion", "-sc", action="store_true")
    options, unknown = parser.parse_known_intermixed_args(argv)
    if unknown:
        raise InputError([_flag(word) for word in unknown])
    both = [flag for flag in ("cfg", "multirun", "info", "shell_completion") if getattr(options, flag)]
    if len(both) > 1:
        got = " and ".join(f"--{flag.replace('_', '-')}" for flag in both)
        raise InputError(Problem(where=WHERE, got=f"{got} together", expected="one of them"))
    if options.config_file and any(word.startswith("experiment=") for word in options.overrides):
        raise InputError(Problem(where=WHERE, got="--config-file and experiment= together", expected="one of them"))
    return options


def _flag(word: str) -> Problem:
    flags = ("--help", "--cfg", "--resolve", "--package", "--multirun", "--config-dir", "--config-file", "--info")
    name = word.partition("=")[0]
    alike = nearest(name, flags) or _override_like(name.lstrip("-"))
    return Problem(where=WHERE, got=word, expected="KEY=VALUE without dashes, or an option of --help", nearest=alike)


def _override_like(name: str) -> str | None:
    from litune import config as configs

    alike = nearest(name.replace("-", "_"), configs.known_keys(configs.schema()))
    return f"{alike}=..." if alike else None


def _print_help(usage: str, program: str, config_dir: Path | None) -> None:
    from litune import experiments, manual

    print(manual.text(usage, program, experiments.known(config_dir), _backends()))


def _backends() -> list[str]:
    from litune import backends

    return backends.names()


def _checked(overrides: list[str], options: argparse.Namespace, *, searching: bool) -> Composed:
    """Return the composed config; raise InputError for all that can be found in it without a wait.

    Only if a file has mistakes in it are the classes imported to look for more: who mistypes a word is told at once.
    """
    from litune import checks, compose

    composed = compose.compose(overrides, config_dir=options.config_dir, config_file=options.config_file)
    space = None
    problems = list(composed.problems)
    if composed.resolvable:
        if searching:
            try:
                space = checks.load_space(composed.config)
            except InputError as error:
                problems += composed.located(error.problems)
        problems += composed.located(checks.check(composed.config, space))
        if any(problem.where != WHERE for problem in problems):
            problems += composed.located(checks.check_targets(composed.config, space))
    if problems:
        raise InputError(dict.fromkeys(problems))
    for warning in checks.warnings(composed.config):
        print(f"warning: {warning}", file=sys.stderr)
    return composed


def _started(composed: Composed, run: Callable[[DictConfig], int], job: list[str] | None) -> int:
    if job is not None:
        print(f"# {' '.join(job)}", flush=True)
    try:
        return run(composed.config)
    except InputError as error:
        error.problems = composed.located(error.problems)
        raise


def _reported(action: Callable[[], int]) -> int:
    """Run the action; print litune's own errors in their form and return their exit code."""
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


def _usage() -> str:
    rows = {
        "search": "run or continue a search", "train": "train once, the best again, or replay a trial",
        "doctor": "check the installation", "list": "the runs under runs/", "trials": "the trials of a run",
        "best": "the best trial of a run", "digest": "one number for the whole trial table of a run",
        "report": "what a run found, as one HTML page or Markdown",
        "compare": "runs of one experiment side by side",
        "nni-env": "the line that confines a bare nnictl to this machine", "nni-check": "check a config file of nnictl",
    }  # fmt: skip
    lines = "\n".join(f"  {name:<9} {meaning}" for name, meaning in rows.items())
    return f"usage: litune COMMAND ...\n\n{lines}\n\nlitune COMMAND --help tells more"
