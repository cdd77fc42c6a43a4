"""From a config to its outcome, in a straight line: a search, one training, or a recorded trial again."""

from __future__ import annotations

import contextlib
import functools
import gc
import itertools
import json
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from litune import backends, blas, interrupts, parallelism, processes
from litune.config import config as configs
from litune.errors import InputError, Problem, SearchFailed
from litune.space.space import Space
from litune.trial import DirectTrial, Outcome
from litune.workers import limits
from litune.workers.parent import Message
from litune.workers.pool import Workers

if TYPE_CHECKING:
    from rich.console import Console

    from litune.study.study import Study

_SELDOM = 100_000  # new objects between two searches for garbage; importing torch makes a million, which stay
Conclude = Callable[["Console", "Study"], None]


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a search ended: where its run is, and the exit code that the command line has for it."""

    directory: Path
    code: int


def run_search(config: DictConfig, conclude: Conclude | None = None) -> int:
    """Run or continue the search that the config describes; return the exit code.

    `conclude` shows and writes what it found; by default the leaderboard and best.yaml.
    """
    from litune import checks

    return carry_out(config, checks.load_space(config), conclude=conclude).code


def carry_out(config: DictConfig, space: Space, *, conclude: Conclude | None = None) -> Ended:
    """Run or continue a search of this space, whatever search.space names."""
    from litune import checks

    conclude = conclude or functools.partial(_conclude, config)
    if problems := checks.check(config, space):
        raise InputError(problems)
    backend = backends.load(config.backend.name)
    if check := getattr(backend, "check", None):
        check(config, space)
    steps = warm_up(config, space)
    workers = Workers(steps) if backend.WARM_PARENT else None
    prepare = getattr(backend, "prepare", _nothing)
    try:
        with prepare(config, space):
            from litune.study import runs  # imports Optuna, while the warm parent imports torch

            runs.refuse_if_held(config, space)
            if workers:  # now there is time for what the end needs
                from litune.report import ending  # noqa: F401
            for step in steps:
                _raise_for(workers.answer() if workers else step())
            with runs.private(), runs.opened(config, space) as study:
                for process in processes.of_trial(study.directory / "trials"):
                    processes.end(process)  # of a driver that was killed together with its warm parent
                code = _watch(config, study, lambda view: backend.run(study, workers, view), conclude)
                return Ended(directory=study.directory, code=code)
    finally:
        if workers:
            workers.close()


def _nothing(_config: DictConfig, _space: Space) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext()


def warm_up(config: DictConfig, space: Space) -> list[Callable[[], Message]]:
    """Return what makes a process ready for this config's trials, in two steps: classes checked, data loaded."""

    def classes() -> Message:
        from litune import checks
        from litune.targets import metrics

        usual = gc.get_threshold()
        gc.set_threshold(_SELDOM, *usual[1:])
        try:
            metrics.load()
            return {"problems": [vars(problem) for problem in checks.check_targets(config, space)]}
        finally:
            gc.set_threshold(*usual)

    def data() -> Message:
        from litune.training import training

        try:
            training.load_ahead(config)
        except Exception as error:  # noqa: BLE001 - the user's code; what it raises is told once, before any trial
            return {"problems": [vars(_data_problem(error))]}
        blas.libraries.cache_clear()  # of a search that this process has had before
        limits.use_threads(parallelism.threads_of(config))  # as its trials will, who then find it done
        return {}

    return [classes, data]


def _data_problem(error: Exception) -> Problem:
    frames = traceback.extract_tb(error.__traceback__)
    here = [frame for frame in frames if Path(frame.filename).is_relative_to(Path.cwd())]  # not inside a library
    place = (here or frames)[-1]
    where = f"{relative(Path(place.filename))}:{place.lineno}"
    return Problem(where=where, key="data", got=f"{type(error).__name__}: {error}", expected="data that loads")


def _raise_for(answer: Message) -> None:
    if problems := [Problem(**problem) for problem in answer.get("problems", ())]:
        raise InputError(problems)
    if "died" in answer:
        raise SearchFailed(f"the process that loads the model's classes and data ended with status {answer['died']}")


def _watch(config: DictConfig, study: Study, run: Callable[[backends.View], None], conclude: Conclude) -> int:
    """Run the backend under the live view, then show and write what the search found."""
    from litune.report import notebook
    from litune.report.console import console_here
    from litune.report.live import ConsoleView

    console = console_here()
    for before in study.earlier:
        console.print(str(before), soft_wrap=True, markup=False)
    if study.why:
        console.print(f"search.algorithm=auto is {study.terms.algorithm}: {study.why}", soft_wrap=True, markup=False)
    try:
        with (
            interrupts.preceded(study.set_aside),
            ConsoleView(study, console) as view,
            _dashboards(config, study, view),
        ):
            run(view)
    except BaseException:  # what a library makes of an interruption may be any exception
        study.set_aside()
        if interrupts.requested():
            conclude(console, study)
        raise
    study.settle()
    left = study.set_aside()
    conclude(console, study)
    if study.overdue and (left or not study.over):
        again = "the same call" if notebook.is_here() else interrupts.command_line()
        interrupted = f"; trials {', '.join(map(str, left))} were running" if left else ""
        console.print(
            f"stopped early: search.timeout={config.search.timeout:g} s is over{interrupted}; continue with: {again}",
            soft_wrap=True,
            markup=False,
        )
    if study.stopped:
        console.print(f"stopped early: {study.stopped}", soft_wrap=True, markup=False)
    console.print(f"digest {study.digest()}", soft_wrap=True)
    return 0 if study.best() or not any(row.failure for row in study.rows.values()) else 1


def _conclude(config: DictConfig, console: Console, study: Study) -> None:
    """Show what was found, and name the best trial, the confirmed one if there is one, in best.yaml."""
    from litune.report import confirmed
    from litune.report.ending import print_ending
    from litune.study import confirmation, runs

    print_ending(console, study.directory)
    best, found = confirmation.chosen(study.directory, study.rows, study.objective)
    if best:
        note = confirmed.note(found, study.objective)
        path = relative(runs.write_best(study.directory, config, best, vars(study.terms), note))
        place = relative(study.directory)
        console.print(
            f"best: {path}\ntrain it: litune train --config-file {path}\n"
            f"see it: litune report {place}; litune dashboard {place}",
            soft_wrap=True,
        )


def _dashboards(config: DictConfig, study: Study, view: backends.View) -> contextlib.AbstractContextManager[None]:
    if not config.dashboard:
        return contextlib.nullcontext()
    from litune.dashboards import beside

    return beside.opened(study.directory, view)


def relative(path: Path) -> Path:
    """Return the path as a person here would type it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def run_single(config: DictConfig) -> int:
    """Train once, with no tuner, and print how it ended; return the exit code."""
    from litune import checks

    if problems := checks.check_targets(config, None):
        raise InputError(problems)
    from litune.study import runs

    directory = training_directory(config)
    directory.mkdir(mode=0o700, parents=True)
    (directory / "config.yaml").write_text(configs.snapshot(config))
    outcome = _train(config, DirectTrial(directory))
    (directory / runs.OUTCOME).write_text(json.dumps(outcome.to_json(), indent=1) + "\n")
    objective = configs.objective(config)
    for step, value in outcome.history.items():
        print(f"validation {step}: {objective.metric}={value:.6g}")
    if outcome.failure:
        print(f"{outcome.failure.kind.value}: {outcome.failure.message}", file=sys.stderr)
        return 1
    print(f"{objective.metric} ({objective.reduce}): {outcome.score!r}\nin {relative(directory)}")
    return 0


def search_directory(config: DictConfig) -> Path:
    """Return where run_search works."""
    from litune import checks
    from litune.study import identity

    return Path(config.search.runs).absolute() / identity.run_name(config, checks.load_space(config))


def training_directory(config: DictConfig) -> Path:
    """Return where the next run_single will work."""
    name = config.name or f"train-{config.experiment or 'model'}"
    return next(path for path in _numbered(Path(config.search.runs).absolute() / name) if not path.exists())


def replay(run: str, number: int) -> int:
    """Run a recorded trial again and say whether each reported value is bit-equal; return 0 if all are."""
    from litune.study import runs

    directory = runs.find(run)
    config, _, ledger = runs.read(directory)
    if number not in ledger.rows:
        raise InputError(
            Problem(where=str(directory), key="trial", got=str(number), expected=f"0 to {len(ledger.rows) - 1}")
        )
    row = ledger.rows[number]
    if row.schedule:
        expected = "a trial whose params stayed as they were: this one's changed while it trained"
        raise InputError(Problem(where=str(directory), key="trial", got=str(number), expected=expected))
    again = runs.best_config(config, row, ledger.about["terms"])
    place = next(path for path in _numbered(directory / "replays" / f"{number:04d}") if not path.exists())
    place.mkdir(mode=0o700, parents=True)
    outcome = _train(again, DirectTrial(place, row.params, stop_after=len(row.history)))
    for step, value in row.history.items():
        same = outcome.history.get(step) == value
        print(f"validation {step}: recorded {value!r}, now {outcome.history.get(step)!r}{'' if same else '  DIFFERS'}")
    equal = bool(row.history) and outcome.history == row.history
    print(f"trial {number}: {'bit-equal' if equal else 'not equal'} in {len(row.history)} values")
    return 0 if equal else 1


def _train(config: DictConfig, trial: DirectTrial) -> Outcome:
    limits.use_threads(config.search.threads or limits.cores())
    from litune.training.training import run_trial

    return run_trial(config, trial)


def _numbered(path: Path) -> Iterator[Path]:
    yield path
    for number in itertools.count(2):
        yield path.with_name(f"{path.name}-{number}")
