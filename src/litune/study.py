"""One search: which trial starts next, what is recorded of it, and when it is over.

A Study is the pure plan (suggest.py, prune.py) over the ledger. The driver holds it; backends ask it for jobs and tell
it what the trials said.
"""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from litune import failures
from litune.ledger import Ledger
from litune.objective import Objective
from litune.prune import prune_below
from litune.seeds import stream
from litune.space import Space
from litune.suggest import Suggester
from litune.table import TrialRow, digest, leaderboard
from litune.transfer import EarlierRun
from litune.trial import CHECKPOINTS, Job, Metrics, Outcome, TrialState


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What the trial table is a function of, beside config and space; fixed when the study is made."""

    algorithm: str
    pruner: str
    seed: int
    seed_per_trial: bool
    lag: int
    threads: int
    max_steps: int
    enqueue: tuple[Mapping[str, Any], ...] = ()
    warm_start: Mapping[str, str] = field(default_factory=dict)  # name -> digest of the earlier runs

    def seed_of(self, number: int) -> int:
        """Return the seed of a trial's training."""
        if self.algorithm == "repeat":
            return stream(self.seed, number // len(self.enqueue))
        return stream(self.seed, number) if self.seed_per_trial else self.seed


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How the search is carried out; may differ from one command to the next without changing a trial.

    `retries` is by the value of a FailureClass. `equal_failures`: so many first trials that fail alike end the search.
    """

    trials: int
    parallel: int
    reuse: bool = True
    keep_checkpoints: int = 3
    trial_timeout: float | None = None
    timeout: float | None = None
    memory_gb: float | None = None
    devices: tuple[int, ...] = ()  # the GPUs to share out, so many to a trial
    devices_a_trial: int = 1
    retries: Mapping[str, int] = field(default_factory=dict)
    equal_failures: int = 0


class Study:
    """The plan and the ledger of one search. `rows` is the trial table so far, `running` the jobs that are out."""

    def __init__(
        self,
        *,
        config: Mapping[str, Any],
        space: Space,
        objective: Objective,
        terms: Terms,
        effort: Effort,
        ledger: Ledger,
        directory: Path,
        earlier: Sequence[EarlierRun] = (),
    ) -> None:
        self.config, self.space, self.objective, self.earlier = config, space, objective, earlier
        self.terms, self.effort, self.directory = terms, effort, directory
        self.parallel = effort.parallel
        self.running: dict[int, Job] = {}
        self.stopped = ""  # why no further trial is started, if that was decided before the last one
        self.failed_alike = False
        self.began = time.monotonic()
        self._ledger = ledger
        size = space.grid_size() if terms.algorithm == "grid" else None
        self.total = min(effort.trials, size) if size else effort.trials
        self._suggester = Suggester(
            terms.algorithm,
            space,
            seed=terms.seed,
            lag=terms.lag,
            maximize=objective.maximize,
            enqueue=terms.enqueue,
            earlier=[known for run in earlier for known in run.trials],
        )
        self._frontier = 0  # every trial below it has ended
        self._finished: dict[str, list[int]] = {}  # params as text -> ended trials that others may be answered from
        self._dropped: set[int] = set()  # trials whose checkpoints are gone
        self._alike = failures.Alike(effort.equal_failures)
        self._again: deque[int] = deque()  # interrupted trials, to be run again under their number
        self._restore()

    @property
    def rows(self) -> Mapping[int, TrialRow]:
        """The trial table so far, by number."""
        return self._ledger.rows

    @property
    def done(self) -> bool:
        """Whether nothing is left to start and nothing is running, or the time is over."""
        return self.overdue or (not self.running and (bool(self.stopped) or self._frontier >= self.total))

    @property
    def seconds_left(self) -> float | None:
        """How long the search may go on; None without search.timeout."""
        return None if self.effort.timeout is None else self.began + self.effort.timeout - time.monotonic()

    @property
    def overdue(self) -> bool:
        """Whether search.timeout is over: what runs now is left, and run again by the same command."""
        return self.seconds_left is not None and self.seconds_left <= 0

    def ask(self) -> Job | None:
        """Return the next job, recorded as running; None if none may start before another ends, or none is left."""
        while not (self.stopped or self.overdue):
            if self._again:
                number = self._again.popleft()
                row = self._ledger.rows[number]
                return self._start(replace(row, state=TrialState.RUNNING, attempt=row.attempt + 1))
            number = len(self._ledger.rows)
            if number >= self.total or number - self.terms.lag >= self._frontier:
                return None
            params = self._suggester.suggest(number, lambda other: self._ledger.rows[other].outcome())
            job = self.adopt(params)
            answer = self._answer(job) if self.effort.reuse else None
            if answer is None:
                return job
            source, outcome = answer
            self._ledger.start(replace(self._ledger.rows[number], reused=source), self.space)
            self.tell(number, outcome)
        return None

    def adopt(self, params: Mapping[str, Any]) -> Job:
        """Start the next trial with params that somebody else has chosen."""
        number = len(self._ledger.rows)
        seed = self.terms.seed_of(number)
        return self._start(TrialRow(number=number, state=TrialState.RUNNING, params=params, seed=seed))

    def again(self, params: Mapping[str, Any]) -> Job | None:
        """Start an interrupted trial that has these params, under its number; None if there is none."""
        for number in self._again:
            row = self._ledger.rows[number]
            if row.params == params:
                self._again.remove(number)
                return self._start(replace(row, state=TrialState.RUNNING, attempt=row.attempt + 1))
        return None

    def report(self, number: int, step: int, metrics: Metrics) -> None:
        """Take note of one validation of a running trial."""
        value = metrics.get(self.objective.metric)
        if value is not None and number in self.running:
            self._ledger.report(number, step, float(value))

    def tell(self, number: int, outcome: Outcome, *, final: bool = False) -> None:
        """Take note of how a trial ended; one that failed is run again as `effort.retries` says, unless `final`."""
        if self.running.pop(number, None) is None:
            return
        row = self._ledger.rows[number]
        if outcome.failure:
            if not final and (retry := failures.again(row, outcome.failure, self.effort.retries)):
                self._ledger.start(retry, self.space)
                self._again.append(number)
                return
            # the child knows its reports best, but one that was killed cannot say them
            failure = failures.counted(outcome.failure, row)
            outcome = replace(outcome, history=outcome.history or row.history, failure=failure)
        self._ledger.finish(number, outcome)
        self._note_end(number)
        self._drop_checkpoints()
        self._stop_on_equal_failures(outcome)

    def set_aside(self) -> list[int]:
        """Note that the trials that have not ended run no more, and return them; the same command runs them again."""
        left = [row for row in self.rows.values() if row.state is TrialState.RUNNING]
        for row in left:
            self._ledger.start(replace(row, state=TrialState.PAUSED), self.space)
        self.running.clear()
        self.commit()
        return [row.number for row in left]

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
        """Return the best complete trial so far."""
        board = leaderboard(self.rows.values(), maximize=self.objective.maximize)
        return board[0] if board else None

    def _restore(self) -> None:
        rows = self._ledger.rows
        for number, row in sorted(rows.items()):
            self._suggester.restore(number, row.params, lambda other: rows[other].outcome())
            if row.ended:
                self._note_end(number)
            else:
                self._again.append(number)

    def _start(self, row: TrialRow) -> Job:
        row = replace(row, started=time.time())
        self._ledger.start(row, self.space)
        self._ledger.commit()
        visible = range(min(row.number - self.terms.lag + 1, len(self.rows)))
        curves = {
            number: self.rows[number].history for number in visible if self.rows[number].state is not TrialState.FAILED
        }
        devices = self._free_devices()
        job = Job(
            number=row.number,
            params=row.params,
            config=self.config,
            directory=str(self.directory / "trials" / f"{row.number:04d}"),
            seed=row.seed,
            threads=self.terms.threads,
            attempt=row.attempt,
            prune_below=prune_below(
                self.terms.pruner,
                row.number,
                curves,
                maximize=self.objective.maximize,
                max_steps=self.terms.max_steps,
            ),
            timeout=self.effort.trial_timeout,
            memory_gb=self.effort.memory_gb,
            devices=devices,
        )
        self.running[row.number] = job
        return job

    def _free_devices(self) -> tuple[int, ...] | None:
        if not self.effort.devices:
            return None
        used = Counter(device for job in self.running.values() for device in job.devices or ())
        freest = sorted(self.effort.devices, key=lambda device: (used[device], device))
        return tuple(sorted(freest[: self.effort.devices_a_trial]))

    def _answer(self, job: Job) -> tuple[int, Outcome] | None:
        """Return how the job must end, from an ended trial with its params and seed, if one tells."""
        if self.terms.seed_per_trial or self.terms.algorithm == "repeat":
            return None
        sign = 1.0 if self.objective.maximize else -1.0
        for source in self._finished.get(_as_key(job.params), []):
            row = self.rows[source]
            for step, value in sorted(row.history.items()):
                if step in job.prune_below and sign * value < job.prune_below[step]:
                    seen = {at: value for at, value in row.history.items() if at <= step}
                    score = self.objective.score(seen)
                    return source, replace(row.outcome(), state=TrialState.PRUNED, history=seen, score=score)
            if row.state is TrialState.COMPLETE:
                return source, row.outcome()
        return None

    def _note_end(self, number: int) -> None:
        row = self.rows[number]
        if row.state in (TrialState.COMPLETE, TrialState.PRUNED) and row.reused is None and not row.schedule:
            self._finished.setdefault(_as_key(row.params), []).append(number)
        while self._frontier in self.rows and self.rows[self._frontier].ended:
            self._frontier += 1

    def _drop_checkpoints(self) -> None:
        board = leaderboard(self.rows.values(), maximize=self.objective.maximize)
        kept = {row.reused if row.reused is not None else row.number for row in board[: self.effort.keep_checkpoints]}
        for row in self.rows.values():
            if row.ended and row.number not in kept and row.number not in self._dropped:
                shutil.rmtree(self.directory / "trials" / f"{row.number:04d}" / CHECKPOINTS, ignore_errors=True)
                self._dropped.add(row.number)

    def _stop_on_equal_failures(self, outcome: Outcome) -> None:
        """End the search when the first trials of this command failed alike, and none ever came to an end."""
        alike = self._alike.note(outcome.failure)
        if alike and outcome.failure and all(row.failure for row in self.rows.values() if row.ended):
            self.failed_alike = True
            self.stopped = f"the first {self.effort.equal_failures} trials failed alike:\n{outcome.failure.message}"


def _as_key(params: Mapping[str, Any]) -> str:
    return json.dumps(params, sort_keys=True)
