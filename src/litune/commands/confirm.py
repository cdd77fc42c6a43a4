"""`litune confirm`: train the best trials of a run again, on fresh seeds, by the run's own backend."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from litune import driver
from litune.config import config as configs
from litune.config.documents import display_path
from litune.errors import InputError, Problem
from litune.report import confirmed
from litune.seeds import stream
from litune.study import identity, lock, runs
from litune.study import ledger as ledgers
from litune.study.confirmation import DIRECTORY, candidates, chosen, summarize
from litune.table import TrialRow

if TYPE_CHECKING:
    from rich.console import Console

    from litune.study.study import Study

MOST = 10  # candidates: their numbers name the directory
_FRESH = 0xC0FFEE  # keeps the seeds apart from those of a search with a seed a trial


def confirm(run: str, top: int, seeds: int) -> int:
    """Train the best `top` trials on so many seeds each, then name the winner in best.yaml; return the exit code."""
    directory = runs.find(run)
    config, _, ledger = runs.read(directory)
    rows, terms = dict(ledger.rows), ledger.about["terms"]
    objective = configs.objective(config)
    originals = candidates(rows, objective, top)
    if problems := list(_problems(directory, top, seeds, originals)):
        raise InputError(problems)

    def conclude(console: Console, trained: Study) -> None:
        found = summarize(trained.directory, trained.rows, originals, objective)
        if found is None:
            console.print("too few trainings have ended to say anything")
            return
        confirmed.show(console, found, objective)
        best, confirmation = chosen(directory, rows, objective)
        assert best is not None
        note = confirmed.note(confirmation, objective)
        path = runs.write_best(directory, config, best, terms, note=note)
        study = ledgers.load_study(directory, config.search.storage)
        study.set_user_attr("confirmed", f"trial {best.number}, {note}")  # where optuna-dashboard shows it
        console.print(f"best: {display_path(path)}", soft_wrap=True)

    with lock.held(directory):
        return driver.run_search(_search(directory, config, originals, terms, seeds), conclude)


def _problems(directory: Path, top: int, seeds: int, originals: list[TrialRow]) -> Iterator[Problem]:
    if not 1 <= top <= MOST:
        yield Problem(key="--top", got=str(top), expected=f"1 to {MOST}")
    elif not originals:
        expected = "a run with a complete trial whose params stayed as they were"
        yield Problem(key="run", got=str(directory), expected=expected)
    if seeds < 2:
        yield Problem(key="--seeds", got=str(seeds), expected="at least 2")


def _search(
    directory: Path, config: DictConfig, originals: Iterable[TrialRow], terms: Mapping[str, Any], seeds: int
) -> DictConfig:
    originals = list(originals)
    values: dict[str, Any] = {
        "name": "-".join(str(row.number) for row in originals),
        "dashboard": False,
        "seed": stream(config.seed, _FRESH),
        "search.space": str(directory / "space.json"),
        "search.runs": str(directory / DIRECTORY),
        "search.algorithm": "repeat",
        "search.enqueue": [dict(row.params) for row in originals],
        "search.warm_start": [],
        "search.pruner": "none",
        "search.trials": seeds * len(originals),
        "search.budget.epochs": None,
        "search.budget.seconds": None,
        "search.threads": terms["threads"],
        "search.storage": None,
        "search.timeout": None,
    }
    values |= {f"backend.{name}": None for name in (*identity.OWN, "manager") if config.backend.get(name) is not None}
    return configs.replaced(config, values)
