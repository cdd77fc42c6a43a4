"""What a trial is: the job it is given, what it sees while it runs, and how it ends."""

from __future__ import annotations

import enum
import math
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

CHECKPOINTS = "checkpoints"  # the folder for them in a trial's directory
Metrics = Mapping[str, float]


def directory_in(run: Path, number: int) -> Path:
    """Return the directory of a trial in that of its run."""
    return run / "trials" / f"{number:04d}"


def this_process() -> str:
    """Return HOST:PID, as Outcome.where has it."""
    return f"{socket.gethostname()}:{os.getpid()}"


class TrialState(str, enum.Enum):
    """How a trial stands. PAUSED: its leg ended, it may be continued."""

    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    COMPLETE = "COMPLETE"
    PRUNED = "PRUNED"
    FAILED = "FAILED"


class FailureClass(str, enum.Enum):
    """Why a trial failed."""

    ERROR = "error"
    NAN = "nan"
    OUT_OF_MEMORY = "out_of_memory"
    TIMEOUT = "timeout"
    KILLED = "killed"
    NO_METRIC = "no_metric"
    LOST = "lost"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a trial failed: the class, and a message with the traceback's end where there is one."""

    kind: FailureClass
    message: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a trial, or a leg of it, ended.

    `history` maps each reported step (1, 2, ... in validations) to the objective's value there, from the trial's
    first step on; `score` is its reduction, None where it failed. `seconds` is wall time in run_trial, `restoring` the
    part of it before a continued training went on.
    `schedule` is for a training whose params changed on its way (PBT): for each part of it {step: the validations
    before, trial: the number under which it ran, params}.
    """

    state: TrialState
    score: float | None = None
    history: Mapping[int, float] = field(default_factory=dict)
    failure: Failure | None = None
    seconds: float = 0.0
    restoring: float = 0.0
    where: str = ""
    checkpoint: str | None = None
    schedule: tuple[Mapping[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as JSON values; NaN and infinities are written as text."""
        out = asdict(self)
        out["history"] = [[step, number_out(value)] for step, value in self.history.items()]
        out["score"] = None if self.score is None else number_out(self.score)
        return out

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Outcome:
        """Return the outcome that to_json wrote."""
        failure = data.get("failure")
        return cls(
            state=TrialState(data["state"]),
            score=None if data["score"] is None else float(data["score"]),
            history={int(step): float(value) for step, value in data["history"]},
            failure=failure and Failure(kind=FailureClass(failure["kind"]), message=failure["message"]),
            seconds=data["seconds"],
            restoring=data["restoring"],
            where=data["where"],
            checkpoint=data["checkpoint"],
            schedule=tuple(data.get("schedule", ())),
        )


def number_out(value: float) -> float | str:
    """Return the number as JSON has it: NaN and infinities as text."""
    return value if math.isfinite(value) else repr(value)


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that a worker needs to run one leg of one trial; JSON values only.

    config       the base config as plain values (params not yet merged)
    params       dotted key -> value
    directory    the trial's own directory, absolute
    prune_below  step -> the least value (after the objective's sign is made "larger is better") that may go on
    start, until the leg: continue after validation `start`, pause at the end of the epoch of validation `until` (None:
                 go to the end)
    checkpoint   what to continue from; None: the last one that the trial left in its directory, if any
    """

    number: int
    params: Mapping[str, Any]
    config: Mapping[str, Any]
    directory: str
    seed: int
    threads: int
    attempt: int = 0
    prune_below: Mapping[int, float] = field(default_factory=dict)
    start: int = 0
    until: int | None = None
    checkpoint: str | None = None
    timeout: float | None = None
    memory_gb: float | None = None
    devices: tuple[str, ...] | None = None  # GPUs, as CUDA_VISIBLE_DEVICES names them

    def to_json(self) -> dict[str, Any]:
        """Return the job as JSON values."""
        out = {name: getattr(self, name) for name in self.__dataclass_fields__}
        out["prune_below"] = list(self.prune_below.items())
        return out

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Job:
        """Return the job that to_json wrote."""
        fields = dict(data)
        fields["prune_below"] = {int(step): float(value) for step, value in data["prune_below"]}
        fields["devices"] = None if data["devices"] is None else tuple(data["devices"])
        return cls(**fields)


class Trial(Protocol):
    """What a running training sees of its trial.

    The training continues from `checkpoint` if there is one, and pauses after validation `until` if that is given.
    Earlier legs of it ended after validation `start`, 0 if there were none.
    """

    number: int
    params: Mapping[str, Any]
    directory: Path
    checkpoint: str | None
    start: int
    until: int | None

    def report(self, step: int, metrics: Metrics) -> None:
        """Hand on the metrics of validation `step` (1, 2, ...)."""

    def should_stop(self) -> bool:
        """Say whether the training must stop after the last report."""


class DirectTrial:
    """A trial with no tuner: it records what it is told and never stops by itself. Ships for users' own tests."""

    def __init__(
        self, directory: Path, params: Mapping[str, Any] | None = None, *, stop_after: int | None = None
    ) -> None:
        self.number = 0
        self.params: Mapping[str, Any] = params or {}
        self.directory = directory
        self.checkpoint: str | None = None
        self.start = 0
        self.until: int | None = None
        self.stop_after = stop_after
        self.reports: list[tuple[int, dict[str, float]]] = []

    def report(self, step: int, metrics: Metrics) -> None:
        """Record the metrics of validation `step`."""
        self.reports.append((step, dict(metrics)))

    def should_stop(self) -> bool:
        """Say whether `stop_after` reports were made."""
        return self.stop_after is not None and len(self.reports) >= self.stop_after


class JobTrial:
    """The trial of a Job: sends each report on, and stops by the job's prune rule or the end of its leg."""

    def __init__(self, job: Job, *, metric: str, maximize: bool, send: Callable[[int, Metrics], None]) -> None:
        self.number = job.number
        self.params = job.params
        self.directory = Path(job.directory)
        self.checkpoint = job.checkpoint
        self.start, self.until = job.start, job.until
        self._prune_below = job.prune_below
        self._metric, self._sign, self._send = metric, 1.0 if maximize else -1.0, send
        self._pruned = False

    def report(self, step: int, metrics: Metrics) -> None:
        """Send the metrics on, and hold the objective's value against the prune rule."""
        self._send(step, metrics)
        least = self._prune_below.get(step)
        value = metrics.get(self._metric)
        if least is not None and value is not None:
            self._pruned = self._pruned or self._sign * value < least

    def should_stop(self) -> bool:
        """Say whether the trial was pruned."""
        return self._pruned
