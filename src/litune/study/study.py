"""One search: which trial starts next, what is recorded of it, and when it is over.

A Study is the pure plan (plan.py, prune.py) over the ledger. The driver holds it; backends ask it for jobs and tell it
what the trials said. A job is a leg of a trial: most algorithms have trials of one leg.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from litune import interrupts
from litune.algorithms import by_name as algorithms
from litune.algorithms.decision import Decision
from litune.algorithms.prune import prune_below
from litune.algorithms.terms import Execution, Terms
from litune.algorithms.warm_start import EarlierRun
from litune.objective import Objective
from litune.space.space import Space
from litune.study import failures
from litune.study.duplicates import Duplicates
from litune.study.ledger import Ledger
from litune.table import Leg, TrialRow, digest, leaderboard
from litune.trial import CHECKPOINTS, Job, Metrics, Outcome, TrialState, directory_in

_MEASURING = ("trainer", "callbacks", "lr_scheduler")  # what says when metrics are there, and who asks for which
_LEAST = 0.1  # seconds for a leg of a trial whose time is over: it fails as one that took too long


class Study:
    """The plan and the ledger of one search. `rows` is the trial table so far, `running` the jobs that are out."""

    def __init__(
        self,
        *,
        config: Mapping[str, Any],
        space: Space,
        objective: Objective,
        terms: Terms,
        execution: Execution,
        ledger: Ledger,
        directory: Path,
        earlier: Sequence[EarlierRun] = (),
        why: str = "",
    ) -> None:
        self.config, self.space, self.objective, self.earlier = config, space, objective, earlier
        self.terms, self.execution, self.directory = terms, execution, directory
        self.why = why  # why this algorithm, if `auto` chose it
        self.parallel = execution.parallel
        self.running: dict[int, Job] = {}
        self.stopped = ""  # why no further trial is started, if that was decided before the last one
        self.began = time.monotonic()
        self._ledger = ledger
        known = [trial for run in earlier for trial in run.trials]
        self.plan = algorithms.plan(terms, execution, space, ledger.rows, maximize=objective.maximize, earlier=known)
        alike = execution.reuse and not terms.seed_per_trial and terms.algorithm != "repeat"
        owns_loop = bool(config.get("function"))
        self._duplicates = Duplicates(objective, ledger.rows, owns_loop=owns_loop) if alike else None
        self._dropped: set[int] = set()  # trials whose checkpoints are gone
        # interrupted trials, to be run again under their number
        self._again = deque(number for number, row in sorted(self.rows.items()) if not (row.ended or row.resting))
        first = min(self._again, default=len(self.rows))  # of those that this command starts
        measured_alike = not owns_loop and not any(name.startswith(_MEASURING) for name in space.names)
        self._hopeless = failures.Hopeless(execution.equal_failures, first=first, measured_alike=measured_alike)

    @property
    def rows(self) -> Mapping[int, TrialRow]:
        """The trial table so far, by number."""
        return self._ledger.rows

    @property
    def done(self) -> bool:
        """Whether nothing is left to start and nothing is running, or the time is over."""
        return self.overdue or (not self.running and (bool(self.stopped) or self.over))

    @property
    def over(self) -> bool:
        """Whether nothing is left to start, given that nothing is running."""
        return not self._again and (self._spent_out() or self.plan.over(self.rows))

    @property
    def seconds_left(self) -> float | None:
        """How long the search may go on; None without search.timeout."""
        return None if self.execution.timeout is None else self.began + self.execution.timeout - time.monotonic()

    @property
    def overdue(self) -> bool:
        """Whether search.timeout is over: what runs now is left, and run again by the same command."""
        return self.seconds_left is not None and self.seconds_left <= 0

    @property
    def may_start(self) -> bool:
        """Whether budget and clock let a new trial be started, whoever chooses its params."""
        return not (self.stopped or self.overdue or self._spent_out())

    def prepare(self) -> None:
        """Decide what the next job is, where that is certain already: for a time in which workers are busy."""
        if self.may_start:
            self.plan.prepare(self.rows)

    def ask(self) -> Job | None:
        """Return the next job, recorded as running; None if none may start before another ends, or none is left."""
        interrupts.check()
        while not (self.stopped or self.overdue):
            if self._again:
                return self._resume(self._again.popleft())
            found = self.plan.next(self.rows) if self.may_start else None
            if found is None:
                return None
            job = self._carry_out(*found)
            answer = self._duplicates.answer(job, self.rows) if self._duplicates else None
            if answer is None:
                return job
            source, outcome = answer
            with interrupts.held_back():
                self._ledger.record(replace(self.rows[job.number], reused=source), self.space)
                self.tell(job.number, outcome)
        return None

    def adopt(self, params: Mapping[str, Any]) -> Job:
        """Start the next trial with params that somebody else has chosen."""
        return self._start(self._new(params))

    def again(self, params: Mapping[str, Any]) -> Job | None:
        """Start an interrupted trial that has these params, under its number; None if there is none."""
        for number in self._again:
            if self.rows[number].params == params:
                self._again.remove(number)
                return self._resume(number)
        return None

    def report(self, number: int, step: int, metrics: Metrics) -> None:
        """Take note of one validation of a running trial."""
        value = metrics.get(self.objective.metric)
        if value is not None and number in self.running:
            self._ledger.report(number, step, float(value))

    def tell(self, number: int, outcome: Outcome, *, final: bool = False) -> None:
        """Take note of how a trial ended; one that failed is run again as `execution.retries` says, unless `final`."""
        if self.running.pop(number, None) is None:
            return
        row = self._ledger.rows[number]
        if outcome.failure:
            if not final and (retry := failures.again(row, outcome.failure, self.execution.retries)):
                self._ledger.record(retry, self.space)
                self._again.append(number)
                return
            # the child knows its reports best, but one that was killed cannot say them
            failure = failures.counted(outcome.failure, row)
            outcome = replace(outcome, history=outcome.history or row.history, failure=failure)
        self._ledger.finish(number, outcome)
        if self._duplicates:
            self._duplicates.note(self.rows[number])
        if self.rows[number].ended:
            self._drop_checkpoints()
        self._stop_where_hopeless(number, outcome)

    def set_aside(self) -> list[int]:
        """Note that the trials that have not ended run no more, and return them; the same command runs them again."""
        left = [row for row in self.rows.values() if row.state is TrialState.RUNNING]
        for row in left:
            self._ledger.record(replace(row, state=TrialState.PAUSED), self.space)
        self.running.clear()
        self.commit()
        return [row.number for row in left]

    def settle(self) -> None:
        """End the trials that rest between two legs, where no leg is left to run."""
        if not self.running and not self.stopped and self.over:
            for row in [row for row in self.rows.values() if row.resting]:
                self._ledger.finish(row.number, replace(row.outcome(), state=TrialState.PRUNED))
            self._drop_checkpoints()

    def commit(self) -> None:
        """Make everything told so far durable."""
        self._ledger.commit()

    def close(self) -> None:
        """Make everything durable and let go of the ledger."""
        self._ledger.close()

    def digest(self) -> str:
        """Return the digest of the trial table so far."""
        return digest(self.rows.values())

    def best(self) -> TrialRow | None:
        """Return the best trial so far, of those that are ranked."""
        board = leaderboard(self.rows.values(), maximize=self.objective.maximize)
        return board[0] if board else None

    def _spent_out(self) -> bool:
        """Say whether search.budget.seconds is spent."""
        most = self.execution.seconds
        return most is not None and sum(row.seconds for row in self.rows.values()) >= most

    def _carry_out(self, number: int, decision: Decision) -> Job:
        """Start the trial, or the leg of a trial, that the plan has decided on."""
        if decision.trial is None:
            assert decision.params is not None
            row = self._new(decision.params)
        else:
            row = replace(self.rows[decision.trial], state=TrialState.RUNNING, resting=False, reused=None)
            self._dropped.discard(row.number)
        if self.terms.in_legs:
            row = replace(row, legs=(*row.legs, Leg(number, decision.until)))
        return self._start(row)

    def _new(self, params: Mapping[str, Any]) -> TrialRow:
        number = len(self.rows)
        return TrialRow(number=number, state=TrialState.RUNNING, params=params, seed=self.terms.seed_of(number))

    def _resume(self, number: int) -> Job:
        """Start an interrupted trial again."""
        row = self.rows[number]
        return self._start(replace(row, state=TrialState.RUNNING, attempt=row.attempt + 1))

    def _start(self, row: TrialRow) -> Job:
        """Record the trial as running, durably, and return the job for it."""
        row = replace(row, started=time.time())
        self._ledger.record(row, self.space)
        self._ledger.commit()
        limit = self.execution.trial_timeout
        job = Job(
            number=row.number,
            params=row.params,
            config=self.config,
            directory=str(directory_in(self.directory, row.number)),
            seed=row.seed,
            threads=self.terms.threads,
            attempt=row.attempt,
            prune_below=self._prune_rule(row.number),
            start=row.legs[-2].until if len(row.legs) > 1 else 0,
            until=row.legs[-1].until if row.legs and row.legs[-1].until < self.terms.max_steps else None,
            timeout=None if limit is None else max(_LEAST, limit - row.seconds),
            memory_gb=self.execution.memory_gb,
            devices=self._free_devices(),
        )
        self.running[row.number] = job
        return job

    def _prune_rule(self, number: int) -> dict[int, float]:
        """Return when the trial is stopped early, by the ended trials that it may learn from."""
        seen = [self.rows[other] for other in range(min(number - self.terms.lag + 1, len(self.rows)))]
        curves = {row.number: row.history for row in seen if row.state is not TrialState.FAILED}
        maximize, max_steps = self.objective.maximize, self.terms.max_steps
        return prune_below(self.terms.pruner, number, curves, maximize=maximize, max_steps=max_steps)

    def _free_devices(self) -> tuple[str, ...] | None:
        """Return the GPUs for a further trial, those that the fewest share; None where there are none to share out."""
        devices = self.execution.devices
        if not devices:
            return None
        used = Counter(device for job in self.running.values() for device in job.devices or ())
        freest = sorted(devices, key=lambda device: used[device])[: self.execution.devices_a_trial]
        return tuple(sorted(freest, key=devices.index))

    def _drop_checkpoints(self) -> None:
        """Delete the checkpoints of ended trials other than the best search.keep_checkpoints, and what rests needs."""
        ended = (row for row in self.rows.values() if row.ended)
        board = leaderboard(ended, maximize=self.objective.maximize)
        resting = (row for row in self.rows.values() if row.resting)  # which may be continued, or rank in the end
        ranked = board[: self.execution.keep_checkpoints]
        kept = {row.number if row.reused is None else row.reused for row in (*ranked, *resting)}
        for row in self.rows.values():
            if row.ended and row.number not in kept and row.number not in self._dropped:
                shutil.rmtree(directory_in(self.directory, row.number) / CHECKPOINTS, ignore_errors=True)
                self._dropped.add(row.number)

    def _stop_where_hopeless(self, number: int, outcome: Outcome) -> None:
        """End the search when the first trials of this command tell that none will end well, and none ever did."""
        why = self._hopeless.note(number, outcome.failure)
        if why and all(row.failure for row in self.rows.values() if row.ended or row.resting):
            self.stopped = why
