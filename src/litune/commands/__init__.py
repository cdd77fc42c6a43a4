"""The commands of `litune` beside search and train: what each means, which words it takes, and what carries it out."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from litune.arguments import WHERE, Arguments
from litune.errors import InputError, Problem

RUN = "a run directory, or its name under runs/"


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command: `declare` adds its words to a parser, `run` gets them parsed and returns the exit code."""

    meaning: str
    run: Callable[[argparse.Namespace], int]
    declare: Callable[[argparse.ArgumentParser], object] = lambda parser: parser

    def __call__(self, name: str, argv: list[str]) -> int:
        """Carry the command out."""
        parser = Arguments(prog=f"litune {name}", description=self.meaning)
        self.declare(parser)
        return self.run(parser.parse_args(argv))


def _one_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help=RUN)


def _declare_doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", nargs="?", help=f"{RUN}; without it the installation is checked")
    parser.add_argument("--fix", action="store_true", help="repair what can be repaired in the run")


def _doctor(options: argparse.Namespace) -> int:
    if options.run:
        from litune.commands import doctor_run

        return doctor_run.main(options.run, fix=options.fix)
    if options.fix:
        raise InputError(Problem(where=WHERE, got="--fix without a run", expected="litune doctor RUN --fix"))
    from litune.commands import doctor_install

    return doctor_install.main()


def _list(options: argparse.Namespace) -> int:
    from litune.report import runs

    return runs.list_runs(options.root)


def _declare_trials(parser: argparse.ArgumentParser) -> None:
    _one_run(parser)
    parser.add_argument("--format", choices=("table", "csv", "json"), default="table")


def _trials(options: argparse.Namespace) -> int:
    from litune.report import runs

    return runs.show_trials(options.run, options.format)


def _best(options: argparse.Namespace) -> int:
    from litune.report import runs

    return runs.show_best(options.run)


def _digest(options: argparse.Namespace) -> int:
    from litune.report import runs

    return runs.show_digest(options.run)


def _declare_confirm(parser: argparse.ArgumentParser) -> None:
    _one_run(parser)
    parser.add_argument("--top", type=int, default=3, help="how many of the best trials (3)")
    parser.add_argument("--seeds", type=int, default=5, help="how many trainings of each (5); more continue")


def _confirm(options: argparse.Namespace) -> int:
    from litune import interrupts
    from litune.commands import confirm

    return interrupts.stoppable(lambda: confirm.confirm(options.run, options.top, options.seeds))


def _declare_report(parser: argparse.ArgumentParser) -> None:
    _one_run(parser)
    parser.add_argument("--format", choices=("html", "md"), default="html")
    parser.add_argument("--png", metavar="DIR", help="instead write the pictures as PNG files into a directory")
    parser.add_argument("--out", help="the file to write; without it RUN/report.html, or the terminal for md")


def _report(options: argparse.Namespace) -> int:
    from litune.report import page

    return page.write_report(options.run, options.format, options.out, options.png)


def _declare_compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", nargs="+", help=RUN)
    parser.add_argument("--out", metavar="FILE", help="write one HTML page instead of printing a table")


def _compare(options: argparse.Namespace) -> int:
    from litune.report import compare

    return compare.show_comparison(options.run, options.out)


def _dashboard(options: argparse.Namespace) -> int:
    from litune.dashboards import show

    return show.show(options)


def _declare_dashboard(parser: argparse.ArgumentParser) -> None:
    from litune.dashboards import show

    show.declare(parser)


def _declare_test(parser: argparse.ArgumentParser) -> None:
    _one_run(parser)
    parser.add_argument("--trial", type=int, help="the number of a trial; without it the best one")


def _test(options: argparse.Namespace) -> int:
    from litune.commands import evaluation

    return evaluation.test(options.run, options.trial)


def _declare_predict(parser: argparse.ArgumentParser) -> None:
    _declare_test(parser)
    parser.add_argument("--out", help="the CSV file to write; without it predictions.csv in the trial's directory")


def _predict(options: argparse.Namespace) -> int:
    from litune.commands import evaluation

    return evaluation.predict(options.run, options.trial, options.out)


def _declare_init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", type=Path, help="the project's directory")
    parser.add_argument("--package", help="name of its Python package; without it the directory's name")
    parser.add_argument("--model", default="LitNet", help="name of the model's class")
    parser.add_argument("--data", default="MyData", help="name of the data module's class")


def _init(options: argparse.Namespace) -> int:
    from litune.commands import project

    return project.create(options.directory, options.package, options.model, options.data)


def _space(options: argparse.Namespace) -> int:
    from litune.commands import proposal

    return proposal.show_space(options.target)


def _nni_env(_options: argparse.Namespace) -> int:
    from litune.backends.nni import env

    print(env.export_line())
    return 0


def _nni_check(options: argparse.Namespace) -> int:
    from litune.backends.nni import nnictl_file

    if problems := nnictl_file.check(options.file):
        raise InputError(problems)
    print(f"{options.file}: nothing wrong found")
    return 0


COMMANDS = {
    "doctor": Command(meaning="check the installation, or one run", declare=_declare_doctor, run=_doctor),
    "list": Command(
        meaning="the runs under runs/",
        declare=lambda parser: parser.add_argument(
            "root", nargs="?", default="runs", help="directory of the run directories"
        ),
        run=_list,
    ),
    "trials": Command(meaning="the trials of a run", declare=_declare_trials, run=_trials),
    "best": Command(meaning="the best trial of a run", declare=_one_run, run=_best),
    "digest": Command(meaning="one number for the whole trial table of a run", declare=_one_run, run=_digest),
    "test": Command(meaning="test the best trial's checkpoint on the test data", declare=_declare_test, run=_test),
    "predict": Command(
        meaning="what the best trial's checkpoint predicts, as CSV", declare=_declare_predict, run=_predict
    ),
    "confirm": Command(
        meaning="train the best trials again on fresh seeds: which is truly the best, and how good?",
        declare=_declare_confirm,
        run=_confirm,
    ),
    "report": Command(meaning="what a run found, as one HTML page or Markdown", declare=_declare_report, run=_report),
    "compare": Command(
        meaning="runs of one experiment side by side",
        declare=_declare_compare,
        run=_compare,
    ),
    "dashboard": Command(meaning="the dashboards of a run, live", declare=_declare_dashboard, run=_dashboard),
    "init": Command(meaning="begin a project: model, data, experiment, space", declare=_declare_init, run=_init),
    "space": Command(
        meaning="propose a search space for a model's class, as JSON to edit",
        declare=lambda parser: parser.add_argument(
            "target", nargs="+", help="a model, data module or optimizer: package.module:Class"
        ),
        run=_space,
    ),
    "nni-env": Command(meaning="the line that confines a bare nnictl to this machine", run=_nni_env),
    "nni-check": Command(
        meaning="check a config file of nnictl",
        declare=lambda parser: parser.add_argument("file", type=Path, help="a config file of nnictl"),
        run=_nni_check,
    ),
}
