"""The steps that warm a process up for a config's trials, so that each trial starts in milliseconds as a fork of it."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path

from omegaconf import DictConfig

from litune import blas, parallelism
from litune.config.documents import display_path
from litune.errors import InputError, Problem
from litune.space.space import Space
from litune.workers import resources
from litune.workers.parent import Message


def warm_up(config: DictConfig, space: Space) -> list[Callable[[], Message]]:
    """Return what makes a process ready for this config's trials, in two steps: classes checked, data loaded."""

    def classes() -> Message:
        from litune import checks
        from litune.targets import metrics

        metrics.load()
        return {"problems": [vars(problem) for problem in checks.check_targets(config, space)]}

    def data() -> Message:
        from litune.space import fit
        from litune.training import training

        try:
            training.load_ahead(fit.filled(config, space))
        except InputError as error:
            return {"problems": [vars(problem) for problem in error.problems]}
        except Exception as error:  # noqa: BLE001 - the user's code; what it raises is told once, before any trial
            return {"problems": [vars(_data_problem(error))]}
        blas.libraries.cache_clear()  # of a search that this process has had before
        resources.use_threads(parallelism.threads_of(config))  # as its trials will, who then find it done
        return {}

    return [classes, data]


def _data_problem(error: Exception) -> Problem:
    from litune.targets.importing import own_frame

    place = own_frame(traceback.extract_tb(error.__traceback__))
    where = f"{display_path(Path(place.filename))}:{place.lineno}"
    return Problem(where=where, key="data", got=f"{type(error).__name__}: {error}", expected="data that loads")
