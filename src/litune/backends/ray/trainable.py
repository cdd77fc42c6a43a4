"""What runs in a Ray actor: a thin client of the warm parent on its node, which forks a child for each trial."""

from __future__ import annotations

import itertools
import json
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray import get_gpu_ids, get_runtime_context, tune

from litune.backends.ray import node_parent
from litune.steps import steps_of
from litune.trial import CHECKPOINTS, FailureClass, Job, Outcome, TrialState
from litune.workers.child import failed

ABOUT = "litune"  # key of a Ray trial's config, beside the params: JSON text of job, home and leg
OBJECTIVE, STEP, MESSAGES = "objective", "step", "messages"  # keys of what is reported to Tune
_STATE = "litune.json"  # in a checkpoint handed on by Tune: the steps done, and how the training came there
_WEIGHTS = "last.ckpt"
_BUFFER = 1 << 16
_GATHERED = 0.25  # seconds of reports that are one result, as each result costs Tune a turn of its loop

Message = dict[str, Any]


def train(config: Mapping[str, Any]) -> None:
    """Run one trial, and report to Tune what it says; the last report holds its outcome.

    A `leg` is the number of validations after which the training pauses and hands its checkpoint on: with it a trial
    may be continued elsewhere, and with other params, as Ray's scheduler wishes. `one_by_one`, for a scheduler or
    searcher of Ray's, gives Tune each validation as a result of its own.
    """
    about = json.loads(config[ABOUT])
    job = _job(about["job"], config)
    if about["leg"]:
        _train_in_legs(job, about)
        return
    if about["one_by_one"]:
        _train_step_by_step(job, about)
        return
    for messages in _said(job, about["home"], _GATHERED):
        _report(job, messages)


def _train_step_by_step(job: Job, about: Mapping[str, Any]) -> None:
    """Report each validation by itself, but what may be the last one with the outcome: no scheduler is to stop it."""
    searched = {key.removeprefix("trainer."): value for key, value in job.params.items()}
    last = steps_of({**job.config, "trainer": {**job.config["trainer"], **searched}})  # None: any step may be
    held: list[Message] = []
    for message in itertools.chain.from_iterable(_said(job, about["home"], 0.0)):
        if held and message["type"] == "report":
            _report(job, held)
            held = []
        held.append(message)
        if message["type"] == "outcome" or (last is not None and message["step"] < last):
            _report(job, held)
            held = []


def _job(data: Mapping[str, Any], config: Mapping[str, Any]) -> Job:
    """Return the job for this actor; a trial that took over another's config still has its own number and place."""
    job = Job.from_json(data)
    number = int(tune.get_context().get_trial_name())
    directory = str(Path(job.directory).with_name(f"{number:04d}"))
    params = {name: config[name] for name in job.params}
    return replace(job, number=number, directory=directory, params=params, devices=_devices())


def _devices() -> tuple[str, ...] | None:
    found = tuple(str(device) for device in get_gpu_ids())
    return found or None


def _train_in_legs(job: Job, about: Mapping[str, Any]) -> None:
    handed = tune.get_checkpoint()
    with tempfile.TemporaryDirectory(prefix="litune-") as place:
        state: Message = {"step": 0, "schedule": []}
        if handed:
            handed.to_directory(place)
            state = json.loads((Path(place) / _STATE).read_text())
            job = replace(job, checkpoint=str(Path(place) / _WEIGHTS))
        if not state["schedule"] or state["schedule"][-1]["params"] != job.params:
            state["schedule"].append({"step": state["step"], "trial": job.number, "params": dict(job.params)})
        while True:
            leg = replace(job, start=state["step"], until=state["step"] + about["leg"])
            *reports, last = itertools.chain.from_iterable(_said(leg, about["home"], 0.0))
            outcome = Outcome.from_json(last)
            if outcome.state is not TrialState.PAUSED:
                parts = tuple(state["schedule"])
                changed = len(parts) > 1 or parts[0]["trial"] != job.number
                last = replace(outcome, schedule=parts if changed else ()).to_json()
                _report(job, [*reports, {"type": "outcome", **last}])
                return
            state.update(step=max(outcome.history))
            weights = Path(job.directory) / CHECKPOINTS / _WEIGHTS
            (Path(place) / _WEIGHTS).write_bytes(weights.read_bytes())
            (Path(place) / _STATE).write_text(json.dumps(state))
            job = replace(job, checkpoint=str(Path(place) / _WEIGHTS))
            _report(job, reports, checkpoint=tune.Checkpoint.from_directory(place))


def _said(job: Job, home: Mapping[str, Any], gathered: float) -> Iterator[list[Message]]:
    """Yield what a trial says, at most every `gathered` seconds but for its outcome, which is the last message."""
    try:
        connection = _connect(job, home)
    except OSError as error:
        yield [_lost(f"no warm parent on {socket.gethostname()}: {error}")]
        return
    with connection:
        connection.sendall(json.dumps({"job": job.to_json()}).encode() + b"\n")
        messages: list[Message] = []
        due, text = time.monotonic() + gathered, b""
        while (data := _received(connection, due if messages else None)) != b"":
            *lines, text = (text + (data or b"")).split(b"\n")
            messages += [message for line in lines if (message := _message(line))]
            kinds = [message["type"] for message in messages]
            if "outcome" in kinds:  # of two, the child's own comes first
                yield messages[: kinds.index("outcome") + 1]
                return
            if messages and time.monotonic() >= due:
                yield messages
                messages, due = [], time.monotonic() + gathered
    yield [*messages, _lost("the process that ran the trial's worker is gone")]


def _received(connection: socket.socket, due: float | None) -> bytes | None:
    """Return what comes next, b"" at the end; None if nothing comes until `due`."""
    connection.settimeout(None if due is None else max(due - time.monotonic(), 0.001))
    try:
        return connection.recv(_BUFFER)
    except TimeoutError:
        return None


def _message(line: bytes) -> Message | None:
    """Return a report or an outcome; None for anything else, such as a line that a kill cut short."""
    try:
        message: Message = json.loads(line)
    except json.JSONDecodeError:
        return None
    if message["type"] == "outcome":
        return {**message, "where": f"{message['where']} on Ray node {_node()[:8]}"}
    return message if message["type"] == "report" else None


def _connect(job: Job, home: Mapping[str, Any]) -> socket.socket:
    """Connect to the driver's own warm parent where it is on this node, else to this node's."""
    if home["node"] == _node():
        try:
            return node_parent.connect(home["directory"])
        except OSError:
            pass  # a driver that is a client of this cluster, on another machine
    return node_parent.connect(node_parent.of_node(_node(), job.config, home["space"]))


def _node() -> str:
    node: str = get_runtime_context().get_node_id()
    return node


def _lost(message: str) -> Message:
    return {"type": "outcome", **failed(FailureClass.LOST, message, {}, 0.0).to_json()}


def _report(job: Job, messages: list[Message], **more: Any) -> None:
    """Hand messages to Tune; `done` with an outcome ends the Ray trial there and then, whatever its scheduler says."""
    metric = job.config["objective"]["metric"]
    reports = [message for message in messages if message["type"] == "report"]
    result: Message = {MESSAGES: json.dumps(messages)}
    if reports:
        result |= {STEP: reports[-1]["step"], "metrics": reports[-1]["metrics"]}
        result[OBJECTIVE] = reports[-1]["metrics"].get(metric)
    if messages[-1]["type"] == "outcome":
        result["done"] = True
    tune.report(result, **more)
