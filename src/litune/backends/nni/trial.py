"""The trial command: a thin client that hands the trial to the run's driver, and tells NNI what comes of it.

    python -m litune.backends.nni.trial experiment=digits_mlp [overrides and options of `litune search`]

It needs the standard library only and is up in milliseconds: the driver forks the trial from its warm parent. Under
nnictl, which has no driver of ours, the first trial starts one for the experiment (drivers.py).
"""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

from litune.backends.nni import wire
from litune.backends.nni.rest import CHANNEL, TrialChannel

_CONFIRMED = 3.0  # seconds for the driver to confirm that a trial was stopped; NNI waits 5 before it kills
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_USAGE = """\
this command runs the trials of an NNI experiment; NNI starts it: nnictl create --config nni_config.yml
For a search that needs no nnictl: python search.py backend=nni"""

_GONE = "the driver that runs this experiment's trials is gone; driver.log beside the ledger says why"


class _Stopped(BaseException):
    """NNI asks the trial to end, by a signal."""


def main(arguments: list[str]) -> int:
    """Run the trial that NNI started this process for; return its exit code."""
    url, trial = os.environ.get(CHANNEL, ""), os.environ.get("NNI_TRIAL_JOB_ID", "")
    if not url.startswith("http://") or not trial:
        print(_USAGE, file=sys.stderr)
        return 2
    channel = TrialChannel(url, trial)
    for number in _SIGNALS:
        signal.signal(number, _stop)
    driver = None
    try:
        directory = os.environ.get(wire.RUN)
        if directory:
            driver = wire.connect(directory)
        else:
            from litune.backends.nni import drivers

            driver = drivers.reach(arguments, channel.manager)
        if driver is None:
            return _alone(arguments, channel, trial)
        driver.send({"type": "trial", "trial": trial, "group": os.getpgrp()})
        return _follow(driver, channel)
    except _Stopped as stop:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        if driver is not None:
            _take_leave(driver, channel)
        signal.signal(stop.args[0], signal.SIG_DFL)
        os.kill(os.getpid(), stop.args[0])  # NNI tells a trial that it stopped by this ending alone
        raise


def _alone(arguments: list[str], channel: TrialChannel, trial: str) -> int:
    from litune.backends.nni import driverless, drivers
    from litune.errors import InputError

    for number in _SIGNALS:  # a trial that is ended by one stays interrupted in the ledger, to be run again
        signal.signal(number, signal.SIG_DFL)
    print("no driver can be had: the trial runs in the process that NNI started", file=sys.stderr, flush=True)
    try:
        return driverless.run(drivers.overrides(arguments, channel.manager), channel, trial)
    except InputError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def _stop(number: int, _frame: object) -> NoReturn:
    raise _Stopped(number)


def _follow(driver: wire.Connection, channel: TrialChannel) -> int:
    parameter_id = None
    for message in driver.messages():
        if message["type"] == "start":
            parameter_id = message["parameter_id"]
            print(f"trial {message['number']} in {message['directory']}", flush=True)
        elif message["type"] == "report":
            channel.report(message["value"], message["metrics"], parameter_id)
        elif message["type"] == "outcome":
            if message["score"] is not None:
                channel.finish(message["score"], parameter_id)
            print(message["text"], flush=True)
            return 0 if message["state"] in ("COMPLETE", "PRUNED", "PAUSED") else 1
        elif message["type"] == "refused":
            print(message["text"], file=sys.stderr)
            return 2
    print(_GONE, file=sys.stderr)
    return 1


def _take_leave(driver: wire.Connection, channel: TrialChannel) -> None:
    """Have the driver end the trial: pruned if an assessor wants it, to be run again if the whole experiment stops."""
    try:
        stopping = channel.manager.get("/check-status")["status"] in ("STOPPING", "STOPPED")
        assessed = bool(channel.manager.experiment().get("assessor"))
    except OSError:
        stopping, assessed = True, False
    driver.send({"type": "stop", "pruned": assessed and not stopping, "final": not stopping})
    driver.socket.settimeout(_CONFIRMED)
    for message in driver.messages():
        if message["type"] == "stopped":
            return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
