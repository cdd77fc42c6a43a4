"""From a config to its outcome, in a straight line: the search."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from litune import backends, garbage, interrupts, processes
from litune.algorithms import auto
from litune.config import config as configs
from litune.errors import InputError
from litune.parallelism import LAG, lag_of
from litune.space.space import Space
from litune.umask import private
from litune.warming import warm_up
from litune.workers.pool import Workers, raise_for

if TYPE_CHECKING:
    from rich.console import Console

    from litune.study.study import Study

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

    conclude = conclude or _conclude
    if problems := checks.check(config, space):
        raise InputError(problems)
    backend = backends.load(config.backend.name)
    if check := getattr(backend, "check", None):
        check(config, space)
    steps = warm_up(config, space)
    workers = Workers(steps) if backend.WARM_PARENT else None
    prepare = getattr(backend, "prepare", _nothing)
    try:
        with contextlib.ExitStack() as stack:
            with garbage.collection_off():
                stack.enter_context(prepare(config, space))
                from litune.study import opening  # imports Optuna, while the warm parent imports torch

                opening.refuse_if_held(config, space)
                if workers:  # now there is time for what the end needs
                    from litune.report import ending  # noqa: F401
                for step in steps:
                    raise_for(workers.answer() if workers else step())
                stack.enter_context(private())
                study = stack.enter_context(opening.opened(config, space))
            for process in processes.of_trial(study.directory / "trials"):
                processes.end(process)  # of a driver that was killed together with its warm parent
            code = _watch(config, study, lambda view: backend.run(study, workers, view), conclude)
            return Ended(directory=study.directory, code=code)
    finally:
        if workers:
            workers.close()


def _nothing(_config: DictConfig, _space: Space) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext()


def _watch(config: DictConfig, study: Study, run: Callable[[backends.View], None], conclude: Conclude) -> int:
    """Run the backend under the live view, then show and write what the search found."""
    from litune.report.console import console_here
    from litune.report.live import ConsoleView

    console = console_here()
    for line in _said_before(config, study):
        console.print(line, soft_wrap=True)
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
    for line in _said_after(config, study, left):
        console.print(line, soft_wrap=True)
    return 0 if study.best() else 1


def _said_before(config: DictConfig, study: Study) -> Iterator[str]:
    """Yield what is told before the first trial: what earlier runs teach, what `auto` chose, and an unusual lag.

    Where there is no trial to come, that.
    """
    yield from map(str, study.earlier)
    if study.why:
        yield f"search.algorithm=auto is {study.terms.algorithm}: {study.why}"
    yield from _said_of_lag(config, study)
    if study.rows and study.over:
        yield f"nothing is left to do: the search has ended, after {len(study.rows)} trials"


def _said_of_lag(config: DictConfig, study: Study) -> Iterator[str]:
    """Yield what search.parallel has made of the lag, or the lag of a run that was begun of search.parallel."""
    terms, parallel = study.terms, study.parallel
    if auto.drawn_by_another(config):
        return  # nothing waits for it
    if terms.lag < parallel and not study.over:
        yield f"search.lag is {terms.lag}, as this run was begun with: of {parallel} trials at once some may wait"
    usual = config.search.lag or (None if terms.algorithm == "thaw" else LAG)
    if not study.rows and usual != terms.lag == lag_of(config, terms.algorithm):
        first = f" ({terms.first_lag} for a trial's first leg)" if terms.first_lag else ""
        yield (
            f"search.lag is {terms.lag}{first}, as search.parallel is {parallel}: "
            "a search that is begun with another search.parallel tries other trials"
        )


def _said_after(config: DictConfig, study: Study, left: list[int]) -> Iterator[str]:
    """Yield why the search ended before its time, if it did, with trials `left` to be run again; and the digest."""
    from litune.report import notebook

    if study.overdue and (left or not study.over):
        again = "the same call" if notebook.is_here() else interrupts.command_line()
        interrupted = f"; trials {', '.join(map(str, left))} were running" if left else ""
        short = "" if study.best() else ", before any trial was completed: give it more"
        told = f"search.timeout={config.search.timeout:g} s is over{short}{interrupted}"
        yield f"stopped early: {told}; continue with: {again}"
    if study.stopped:
        yield f"stopped early: {study.stopped}"
    yield f"digest {study.digest()}"


def _conclude(console: Console, study: Study) -> None:
    """Show what was found, and name the best trial, the confirmed one if there is one, in best.yaml."""
    from litune.report import confirmed
    from litune.report.ending import print_ending
    from litune.study import confirmation, runs

    best, found = confirmation.chosen(study.directory, study.rows, study.objective)
    if best:
        note, config = confirmed.note(found, study.objective), configs.from_plain(study.config)
        runs.write_best(study.directory, config, best, vars(study.terms), note)
    print_ending(console, study.directory)


def _dashboards(config: DictConfig, study: Study, view: backends.View) -> contextlib.AbstractContextManager[None]:
    if not config.dashboard:
        return contextlib.nullcontext()
    from litune.dashboards import beside

    return beside.opened(study.directory, view)
