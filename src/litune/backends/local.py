"""Every trial in the driver's own process, one at a time: for debugging, and the reference for the other backends."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from litune import interrupts
from litune.backends import View
from litune.errors import InputError, Problem
from litune.parallelism import devices_a_trial
from litune.space.space import Space
from litune.study.study import Study
from litune.workers.child import execute
from litune.workers.resources import alarm

WARM_PARENT = False


def check(config: DictConfig, _space: Space) -> None:
    """Raise InputError for trials on several devices: this process can be forked into ranks for the first one only."""
    devices = devices_a_trial(config.trainer)
    if devices > 1:
        expected = "1 with backend=local, which trains in the driver's own process"
        raise InputError(
            Problem(key="trainer.devices", got=str(devices), expected=expected, cure="backend=optuna takes several")
        )


def run(study: Study, workers: object, view: View) -> None:  # noqa: ARG001 - the signature that backends share
    """Run the study here."""
    while not study.done:
        job = study.ask()
        if job is None:  # with one trial at a time nothing is waited for, so the search was stopped
            return

        def send(message: dict[str, Any], number: int = job.number) -> None:
            study.report(number, message["step"], message["metrics"])
            study.commit()
            view.refresh()

        with interrupts.outlasting(), alarm(job.timeout, study.seconds_left):
            outcome = execute(job, send)
        if study.overdue:
            return
        study.tell(job.number, outcome)
        view.refresh()
