"""Optuna's storage and ask-and-tell, with worker processes forked from the warm parent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litune.trial import Outcome

if TYPE_CHECKING:
    from litune.backends import View
    from litune.study.study import Study
    from litune.workers.pool import Workers

WARM_PARENT = True


def run(study: Study, workers: Workers, view: View) -> None:
    """Keep `study.parallel` trials running until the study is done."""
    while not study.done:
        while len(study.running) < study.parallel and (job := study.ask()):
            workers.start(job)
        for job, message in workers.poll(0.25):
            if message["type"] == "report":
                study.report(job.number, message["step"], message["metrics"])
            else:
                study.tell(job.number, Outcome.from_json(message))
        study.commit()
        view.refresh()
        study.prepare()
