"""One training without a tuner: of a config, or of a recorded trial again."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from omegaconf import DictConfig

from litune.config import config as configs
from litune.config.documents import display_path
from litune.config.experiments import in_a_name
from litune.errors import InputError, Problem
from litune.trial import DirectTrial, Outcome
from litune.umask import private
from litune.workers import resources


def train(config: DictConfig) -> int:
    """Train once, with no tuner, and print how it ended; return the exit code."""
    from litune import checks

    if problems := checks.check_targets(config, None):
        raise InputError(problems)
    from litune.study import runs

    directory = directory_of(config)
    with private():
        directory.mkdir(parents=True)
        (directory / "config.yaml").write_text(configs.snapshot(config))
        outcome = _trained(config, DirectTrial(directory))
        (directory / runs.OUTCOME).write_text(json.dumps(outcome.to_json(), indent=1) + "\n")
    objective = configs.objective(config)
    for step, value in outcome.history.items():
        print(f"validation {step}: {objective.metric}={value:.6g}")
    if outcome.failure:
        print(f"{outcome.failure.kind.value}: {outcome.failure.message}", file=sys.stderr)
        return 1
    print(f"{objective.metric} ({objective.reduce}): {outcome.score!r}\nin {display_path(directory)}")
    return 0


def replay(run: str, number: int) -> int:
    """Run a recorded trial again and say whether each reported value is bit-equal; return 0 if all are."""
    from litune.study import runs

    directory = runs.find(run)
    config, _, ledger = runs.read(directory)
    if number not in ledger.rows:
        expected = f"0 to {len(ledger.rows) - 1}" if ledger.rows else "one of a search that has started some"
        raise InputError(Problem(where=str(directory), key="trial", got=str(number), expected=expected))
    row = ledger.rows[number]
    if row.schedule:
        expected = "a trial whose params stayed as they were: this one's changed while it trained"
        raise InputError(Problem(where=str(directory), key="trial", got=str(number), expected=expected))
    again = runs.best_config(config, row, ledger.about["terms"])
    place = next(path for path in _numbered(directory / "replays" / f"{number:04d}") if not path.exists())
    with private():
        place.mkdir(parents=True)
        outcome = _trained(again, DirectTrial(place, row.params, stop_after=len(row.history)))
    equal = outcome.history.keys() == row.history.keys()
    for step, value in row.history.items():
        now = outcome.history.get(step)
        same = now is not None and now.hex() == value.hex()
        equal = equal and same
        print(f"validation {step}: recorded {value!r}, now {now!r}{'' if same else '  DIFFERS'}")
    if not row.history:
        print(f"trial {number} had reported nothing to compare with, now {len(outcome.history)} values")
        return 1
    print(f"trial {number}: {'bit-equal' if equal else 'not equal'} in {len(row.history)} values")
    return 0 if equal else 1


def directory_of(config: DictConfig) -> Path:
    """Return where the next train() will work."""
    name = config.name or f"train-{in_a_name(config.experiment) or 'model'}"
    return next(path for path in _numbered(Path(config.search.runs).absolute() / name) if not path.exists())


def _trained(config: DictConfig, trial: DirectTrial) -> Outcome:
    resources.use_threads(config.search.threads or resources.cores())
    from litune.training.training import run_trial

    return run_trial(config, trial)


def _numbered(path: Path) -> Iterator[Path]:
    yield path
    for number in itertools.count(2):
        yield path.with_name(f"{path.name}-{number}")
