"""A third party's backend: takes as many jobs as it may, and runs the newest of them first."""

from litune.trial import Outcome

WARM_PARENT = True


def run(study, workers, view) -> None:
    waiting = []
    while not study.done:
        while (len(waiting) + len(study.running) < 2 * study.parallel) and (job := study.ask()):
            waiting.append(job)
        while waiting and len(study.running) - len(waiting) < study.parallel:
            workers.start(waiting.pop())
        for job, message in workers.poll(0.25):
            if message["type"] == "outcome":
                study.tell(job.number, Outcome.from_json(message))
        study.commit()
        view.refresh()
