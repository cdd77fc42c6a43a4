"""What a worker does with a Job, in whatever process: run the trial, and turn every ending into an Outcome."""

from __future__ import annotations

import functools
import json
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from litune.training.reporting import MetricMissing
from litune.trial import Failure, FailureClass, Job, JobTrial, Metrics, Outcome, TrialState, this_process

if TYPE_CHECKING:
    from omegaconf import DictConfig

Send = Callable[[dict[str, Any]], None]
_SIGTERM = "SIGTERMException"  # a SystemExit, of either Lightning package


def execute(job: Job, send: Send, *, last: bool = False) -> Outcome:
    """Run the job's trial; `send` is given each report as {"type": "report", "step", "metrics"}.

    `last` tells that this process will run no other. What Lightning makes of a SIGTERM is raised: how such a trial has
    ended depends on who sent it.
    """
    started = time.monotonic()
    history: dict[int, float] = {}
    config: Any = None
    try:
        from litune.config import config as configs
        from litune.training.training import run_trial
        from litune.workers import resources

        resources.use_threads(job.threads)
        config = configs.merge(base_config(job), {**job.params, "seed": job.seed}, keep=not last)
        objective = configs.objective(config)
        directory = Path(job.directory)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "config.yaml").write_text(configs.snapshot(config))
        if (job.attempt or job.start) and not job.checkpoint:
            job = _continued(job, config, history)

        def report(step: int, metrics: Metrics) -> None:
            history[step] = metrics.get(objective.metric, float("nan"))
            send({"type": "report", "step": step, "metrics": dict(metrics)})

        trial = JobTrial(job, metric=objective.metric, maximize=objective.maximize, send=report)
        return run_trial(config, trial)
    except BaseException as error:  # the trial's edge: nothing that a user's code does ends a search
        if type(error).__name__ == _SIGTERM:
            raise
        kind = classify(error)
        message = str(error) if kind is FailureClass.NO_METRIC else _last_lines(error)
        if kind is FailureClass.OUT_OF_MEMORY and (sizes := _batch_sizes(config)):
            message += f"\n{_last_lines(error, 1)} with {sizes}"
        return failed(kind, message, history, time.monotonic() - started)


def _continued(job: Job, config: DictConfig, history: dict[int, float]) -> Job:
    """Return the job with the checkpoint that it goes on from, if there is one, whose reports `history` takes up."""
    from litune.training import resume

    left = resume.find(Path(job.directory), config)
    if left:
        job = replace(job, checkpoint=left.checkpoint)
        history.update(left.history)
    if len(history) != job.start:
        place = f"after validation {len(history)}, from {left.checkpoint}" if left else "from the start"
        print(f"it was interrupted, or its checkpoint is lost; it goes on {place}", flush=True)
    return job


def base_config(job: Job) -> DictConfig:
    """Return the config that the search's trials have in common; kept, as a fork then has it for nothing."""
    return _typed(json.dumps(job.config))


@functools.lru_cache(maxsize=1)
def _typed(text: str) -> DictConfig:
    from litune.config import config as configs

    return configs.from_plain(json.loads(text))


def failed(kind: FailureClass, message: str, history: dict[int, float], seconds: float) -> Outcome:
    """Return the outcome of a trial that did not end by itself."""
    return Outcome(
        state=TrialState.FAILED,
        history=history,
        failure=Failure(kind=kind, message=message),
        seconds=seconds,
        where=this_process(),
    )


def classify(error: BaseException) -> FailureClass:
    """Return the failure class of what a trial raised."""
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, MetricMissing):
        return FailureClass.NO_METRIC
    if isinstance(error, MemoryError) or "OutOfMemoryError" in text or "can't allocate memory" in text:
        return FailureClass.OUT_OF_MEMORY
    if "out of memory" in text.lower():
        return FailureClass.OUT_OF_MEMORY
    if isinstance(error, TimeoutError) and "search.trial_timeout" in text:
        return FailureClass.TIMEOUT
    return FailureClass.ERROR


def _last_lines(error: BaseException, lines: int = 12) -> str:
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return "\n".join(text.strip().splitlines()[-lines:])


def _batch_sizes(config: Any) -> str:
    """Return `KEY=VALUE` for everything of the config that is called a batch size."""
    if config is None:
        return ""
    from litune.config import config as configs
    from litune.config.documents import leaves

    return " ".join(f"{key}={value}" for key, value in leaves(configs.stored(config)) if key.endswith("batch_size"))
