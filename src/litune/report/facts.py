"""What every report is made from: one recorded run, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from litune.config import config as configs
from litune.objective import Objective
from litune.space import enqueued
from litune.space.space import Space
from litune.study import runs
from litune.study.confirmation import Confirmation, latest
from litune.table import TrialRow, digest, leaderboard
from litune.trial import TrialState


@dataclass(frozen=True, kw_only=True)
class Facts:
    """One run. `rows` holds the trial table by number, in order; `board` those that are ranked, the best first."""

    directory: Path
    config: DictConfig
    space: Space
    objective: Objective
    about: Mapping[str, Any]
    rows: tuple[TrialRow, ...]
    board: tuple[TrialRow, ...]
    digest: str
    confirmation: Confirmation | None = None

    @property
    def name(self) -> str:
        """Return the run's name."""
        return self.directory.name

    @property
    def baseline(self) -> TrialRow | None:
        """Return the first trial that has the config's own params, all of them, and a rank; None if none has."""
        own = enqueued.of_config(self.config, self.space)
        return next((row for row in self.rows if row.params == own and row.ranked and not row.schedule), None)

    @property
    def ranked(self) -> str:
        """Return what a trial on the board is called."""
        return "trial" if any(row.legs for row in self.rows) else "complete trial"

    def count(self, state: TrialState) -> int:
        """Return how many trials stand so."""
        return sum(row.state is state for row in self.rows)


def gather(run: str) -> Facts:
    """Read the run given by its path, or by its name under runs/."""
    directory = runs.find(run)
    config, space, ledger = runs.read(directory)
    rows = tuple(ledger.rows[number] for number in sorted(ledger.rows))
    about = ledger.about
    objective = configs.objective(config)
    return Facts(
        directory=directory,
        config=config,
        space=space,
        objective=objective,
        about=about,
        rows=rows,
        board=tuple(leaderboard(rows, maximize=objective.maximize)),
        digest=digest(rows),
        confirmation=latest(directory, {row.number: row for row in rows}, objective),
    )


def best_so_far(facts: Facts) -> list[tuple[int, float]]:
    """Return (number, best score among the ranked trials up to it), in the order of the numbers."""
    curve: list[tuple[int, float]] = []
    for row in facts.rows:
        if row.ranked and row.score is not None:
            better = not curve or facts.objective.better(row.score, curve[-1][1])
            curve.append((row.number, row.score if better else curve[-1][1]))
    return curve


def wall_seconds(facts: Facts) -> float:
    """Return the seconds from the first trial's start to the last one's end; 0 without a trial."""
    spans = [span for row in facts.rows for span in row.spans]
    return max(span.ended for span in spans) - min(span.started for span in spans) if spans else 0.0
