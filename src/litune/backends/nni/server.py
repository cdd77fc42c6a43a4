"""The driver's server: NNI's manager starts a client a trial, the client comes here, and the study says what it runs.

Whose trial a client is, the manager's own list says: NNI 3.0 hands a trial's params to whichever trial asks first, so
what it hands out is not asked for (docs/decisions/nni.md).
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any

from litune.backends import View
from litune.backends.nni.clients import Client, Clients
from litune.backends.nni.rest import Manager, packet
from litune.backends.nni.wire import Message
from litune.config.documents import leaves
from litune.space import misfits
from litune.study.study import Study
from litune.table import TrialRow
from litune.trial import Failure, FailureClass, Job, Outcome, TrialState, directory_in
from litune.workers.pool import Workers

NUMBER = "litune.number"  # beside the params that NNI shows: the trial's number in the ledger
_ENDED = ("SUCCEEDED", "FAILED", "USER_CANCELED", "SYS_CANCELED", "EARLY_STOPPED")
_PATIENCE = 10.0  # seconds for the client of a trial that NNI has started to show up


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Who chooses the params. by_study: our tuner asks the study; otherwise NNI draws, as the rest describes.

    ahead   how many trials NNI may start beyond those that run: their clients wait for a worker
    once    no params are to be tried twice (GridSearch): NNI draws some again when it resumes
    limit   how many trials there are in all; None leaves that to NNI
    """

    by_study: bool
    ahead: int = 0
    once: bool = False
    limit: int | None = None


class TrialServer:
    """Serve the manager's tuner and its trials."""

    def __init__(
        self, study: Study, workers: Workers, view: View, manager: Manager, clients: Clients, *, draws: Draws
    ) -> None:
        """Take the manager, and those of its processes that come here."""
        self._study, self._workers, self._view = study, workers, view
        self._manager, self._clients, self._draws = manager, clients, draws
        self._asked: deque[int] = deque()  # requests of the tuner, by NNI's parameter id
        self._granted: dict[int, int] = {}  # parameter id -> number of the trial whose client has not come yet
        self._active: dict[int, float] = {}  # trials that workers run -> since when
        self._held: dict[int, Job] = {}  # trials that NNI has started and no worker is free for
        self._missed: dict[str, float] = {}  # trials without their client -> since when

    def turn(self, seconds: float) -> None:
        """Wait up to so many seconds for news, and deal with all of it."""
        wait([self._clients.fileno(), self._workers.fileno()], seconds)
        for client, message in self._clients.poll():
            self._on_client(client, message)
        for job, message in self._workers.poll(0):
            self._on_worker(job, message)
        self._assign()
        self._begin()
        self._grant()
        self._study.commit()  # NNI is told only what is on disk
        self._clients.flush()
        self._view.refresh()

    @property
    def busy(self) -> bool:
        """Whether a trial is running, or waits to."""
        return bool(self._study.running or self._clients.trials)

    def _on_client(self, client: Client, message: Message) -> None:
        """Take what NNI's tuner asks for and tells, or that a trial is to end."""
        kind = message["type"]
        if kind == "next":
            self._asked.append(message["id"])
        elif kind == "ended":
            self._on_nni_end(message["id"])
        elif kind == "stop":
            self._stop(client, pruned=message["pruned"], final=message["final"])

    def _grant(self) -> None:
        """Answer the tuner's requests by the study's next jobs, while further trials may start."""
        most, tuner = self._study.parallel + self._draws.ahead, self._clients.tuner
        while self._asked and tuner and len(self._study.running) < most:
            job = self._study.ask()
            if job is None:
                return
            parameter_id = self._asked.popleft()
            self._granted[parameter_id] = job.number
            self._clients.say(tuner, {"params": {NUMBER: job.number, **job.params}})

    def _on_nni_end(self, parameter_id: int) -> None:
        """Take note that NNI has ended a trial, of which its client may never have come."""
        number = self._granted.pop(parameter_id, None)
        if number is not None:  # it ended before its client came
            failure = Failure(kind=FailureClass.LOST, message="NNI could not start the trial's command")
            self._study.tell(number, Outcome(state=TrialState.FAILED, failure=failure))

    def _assign(self) -> None:
        """Find out whose trial each new client is, and have it started."""
        waiting = {client.trial: client for client in self._clients.trials if client.number is None}
        if not waiting:
            return
        with contextlib.suppress(OSError):  # the manager may be gone; whoever runs this server finds out
            if self._draws.by_study:
                for client in waiting.values():
                    self._start_suggested(client, self._manager.get(f"/trial-jobs/{client.trial}"))
            else:
                self._start_drawn(waiting, self._manager.get("/trial-jobs"))

    def _start_suggested(self, client: Client, listed: Any) -> None:
        """Start the trial for which the study chose the params."""
        if not listed or not listed.get("hyperParameters"):
            return  # the manager has not noted it yet
        found = packet(listed)
        number = found["parameters"][NUMBER]
        self._granted.pop(found["parameter_id"], None)
        job = self._study.running.get(number)
        if job is None:
            self._clients.forget(client)
            return
        self._start(client, job, found["parameter_id"])

    def _start_drawn(self, waiting: dict[str, Client], listed: Any) -> None:
        """Start the trials that NNI drew, numbered in the order in which it started them, whoever comes first."""
        for nni_job in listed:
            client = waiting.get(nni_job["trialJobId"])
            if client is None:
                trial = nni_job["trialJobId"]
                if self._clients.has_come(trial) or nni_job["status"] in _ENDED or self._overdue(trial):
                    continue
                return
            found = packet(nni_job)
            self._draw(client, dict(leaves(found["parameters"])), found["parameter_id"])

    def _overdue(self, trial: str) -> bool:
        """Say whether a trial's client has stayed away so long that the trials after it need not wait."""
        return time.monotonic() - self._missed.setdefault(trial, time.monotonic()) > _PATIENCE

    def _draw(self, client: Client, params: dict[str, Any], parameter_id: int) -> None:
        """Start a trial by params that NNI drew; refuse wrong ones, answer from the ledger what it has drawn twice."""
        if problems := list(misfits.problems(params, self._study.space, whole=True)):
            self._refuse(client, "\n".join(map(str, problems)))
            return
        if self._draws.once:
            alike = [row for row in self._study.rows.values() if row.params == params]
            if any(row.number in self._study.running for row in alike):
                return  # NNI draws it a second time (after a resume) while it runs: answered when it has ended
            if ended := [row for row in alike if row.ended]:
                self._clients.say(client.connection, _start_message(ended[0].number, self._study, parameter_id))
                self._clients.say(client.connection, _outcome_message(ended[0]))
                client.kind = "answered"
                self._allow_one_more()
                return
        job = self._study.again(params)
        if job is None and self._draws.limit is not None and len(self._study.rows) >= self._draws.limit:
            return  # the search has all its trials: a resumed one counts them otherwise than NNI
        if job is None and not self._study.may_start:
            self._refuse(client, self._study.stopped or "the time or budget of the search is spent")
            return
        job = job or self._study.adopt(params)
        self._start(client, job, parameter_id)

    def _refuse(self, client: Client, text: str) -> None:
        self._clients.say(client.connection, {"type": "refused", "text": text})
        client.kind = "refused"

    def _allow_one_more(self) -> None:
        """Have NNI not count a trial that was answered from the ledger towards its maxTrialNumber."""
        profile = self._manager.get("/experiment")
        if profile["params"].get("maxTrialNumber"):
            profile["params"]["maxTrialNumber"] += 1
            self._manager.put("/api/v1/nni/experiment?update_type=MAX_TRIAL_NUM", profile)

    def _start(self, client: Client, job: Job, parameter_id: int) -> None:
        """Tell a client which trial it is, and hold that for a worker."""
        client.number = job.number
        self._clients.say(client.connection, _start_message(job.number, self._study, parameter_id))
        self._held[job.number] = job

    def _begin(self) -> None:
        """Give the trials that NNI has started to workers, lower numbers first; what NNI draws it also paces."""
        most = self._study.parallel if self._draws.by_study else len(self._active) + len(self._held)
        while self._held and len(self._active) < most:
            job = self._held.pop(min(self._held))
            self._active[job.number] = time.monotonic()
            self._workers.start(job)

    def _stop(self, client: Client, *, pruned: bool, final: bool) -> None:
        """End a trial as NNI wants: pruned by an assessor, ended for good by a person, or left to be run again."""
        number = client.number
        if number is None or number not in self._study.running:
            return
        self._workers.stop(number)
        began = self._active.pop(number, None)
        seconds = 0.0 if began is None else time.monotonic() - began
        self._held.pop(number, None)
        history = self._study.rows[number].history
        if pruned and history:
            score = self._study.objective.score(history)
            stopped = Outcome(state=TrialState.PRUNED, history=history, score=score, seconds=seconds)
            self._study.tell(number, stopped)
        elif final:
            failure = Failure(kind=FailureClass.KILLED, message="cancelled through NNI")
            stopped = Outcome(state=TrialState.FAILED, failure=failure, seconds=seconds)
            self._study.tell(number, stopped, final=True)
        self._clients.say(client.connection, {"type": "stopped"})

    def _on_worker(self, job: Job, message: Message) -> None:
        """Hand the study what a trial says, and its client what NNI is to know of it."""
        client = self._clients.of_trial(job.number)
        if message["type"] == "report":
            self._study.report(job.number, message["step"], message["metrics"])
            value = message["metrics"].get(self._study.objective.metric)
            if client and value is not None:
                report = {"type": "report", "value": value, "metrics": message["metrics"]}
                self._clients.say(client.connection, report)
            return
        self._active.pop(job.number, None)
        self._study.tell(job.number, Outcome.from_json(message))
        row = self._study.rows[job.number]
        if not (row.ended or row.resting) and (again := self._study.again(row.params)):
            if client:
                client.number = again.number
            self._held[again.number] = again
        elif client:
            self._clients.say(client.connection, _outcome_message(row))
            client.kind, client.number = "answered", None  # the trial's next leg has a client of its own


def _start_message(number: int, study: Study, parameter_id: int) -> Message:
    directory = directory_in(study.directory, number)
    return {"type": "start", "number": number, "directory": str(directory), "parameter_id": parameter_id}


def _outcome_message(row: TrialRow) -> Message:
    why = f"{row.failure.kind.value}: {row.failure.message}" if row.failure else f"score {row.score!r}"
    return {"type": "outcome", "state": row.state.value, "score": row.score, "text": f"{row.state.value}, {why}"}
