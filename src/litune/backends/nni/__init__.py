"""NNI 3.0: its manager starts the trials and shows its page; what is tried, recorded and meant is litune's own.

server.py      the driver's side of it all: whose trial a client is, and what the study makes of it
clients.py     those who come to the driver's socket
launch.py      NNI's manager, started with patience (patience.js), confined (loopback.js), watched (watch.js) and ended
tuner.py       the tuner that NNI loads: a proxy of the driver
trial.py       the command that NNI starts a trial by: a thin client of the driver
drivers.py     the driver of an experiment that nnictl started
driverless.py  a trial of nnictl's without a driver
wire.py        JSON lines over the run's Unix socket
rest.py        the manager's HTTP interface, as trials use it
algorithms.py  NNI's tuners and assessors: which of them work, and how a config gives one
checks.py      what NNI would accept silently of a search, found before it starts
nnictl_file.py the same of a config file of nnictl's
env.py         the variable that loads loopback.js
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from omegaconf import DictConfig

    from litune.backends import View
    from litune.backends.nni.rest import Manager
    from litune.backends.nni.server import TrialServer
    from litune.space.space import Space
    from litune.study.study import Study
    from litune.workers.pool import Workers

WARM_PARENT = True
_TURN = 0.25  # seconds
_LOOK = 1.0  # seconds between two looks at a manager that is not our child
_NO_MORE = ("DONE", "TUNER_NO_MORE_TRIAL")  # what the manager says when it starts no further trial
_SETTLED = 3.0  # seconds at most for NNI's record to come level
_IDLE = 60.0  # seconds without a trial after which nnictl's driver ends; the next trial starts another


def check(config: DictConfig, space: Space) -> None:
    """Raise InputError for what NNI would accept silently."""
    from litune.backends.nni import checks
    from litune.errors import InputError

    if problems := checks.check(config, space):
        raise InputError(problems)


def prepare(config: DictConfig, space: Space) -> AbstractContextManager[Any]:
    """Start NNI's manager while the warm parent imports torch."""
    from contextlib import nullcontext

    if config.backend.manager:
        return nullcontext()
    from litune.backends.nni import launch

    return launch.started(config, space)


def run(study: Study, workers: Workers, view: View) -> None:
    """Run the study's trials through NNI: a manager of our own, or the one at `backend.manager`."""
    from litune.config import config as configs

    config = configs.from_plain(study.config)
    if config.backend.manager:
        _attend(study, workers, view, config.backend.manager)
    else:
        _command(study, workers, view, config)


def _command(study: Study, workers: Workers, view: View, config: DictConfig) -> None:
    from litune import unix_socket
    from litune.backends.nni import launch
    from litune.backends.nni.clients import Clients
    from litune.backends.nni.server import Draws, TrialServer

    suggests = not config.backend.tuner
    draws = Draws(by_study=suggests, ahead=launch.ahead_of(config, study.space), limit=study.plan.total)
    with launch.started(config, study.space) as launched:
        clients = Clients(launched.listener)
        server = TrialServer(study, workers, view, launched.manager, clients, draws=draws)
        try:
            view.say(f"NNI's page: {launched.manager.url}")
            looked = time.monotonic()
            while not study.done:
                server.turn(_TURN)
                launched.check()
                if time.monotonic() - looked > _LOOK:
                    looked = time.monotonic()
                    status = launched.status()
                    if not suggests and not server.busy and status in _NO_MORE:
                        break
            _settle(server, launched.manager)
            if config.backend.keep_ui:
                launched.kept = True
                view.say(f"NNI's page stays at {launched.manager.url}; end it with: nnictl stop {launched.experiment}")
        finally:
            launched.tuner = unix_socket.peer(clients.tuner.socket)[0] if clients.tuner else None
            clients.dismiss(keep=launched.kept)
            if not launched.kept:
                launched.stop()
            clients.close()


def _settle(server: TrialServer, manager: Manager) -> None:
    """Let NNI's record come level with ours, if its manager still answers: it looks at its trials twice a second."""
    deadline = time.monotonic() + _SETTLED
    while time.monotonic() < deadline:
        server.turn(_TURN / 4)
        try:
            counts = {line["trialJobStatus"]: line["trialJobNumber"] for line in manager.get("/job-statistics")}
        except OSError:
            return
        if not counts.get("RUNNING") and not counts.get("WAITING"):
            return


def _attend(study: Study, workers: Workers, view: View, url: str) -> None:
    from litune.backends.nni import wire
    from litune.backends.nni.clients import Clients
    from litune.backends.nni.rest import Manager
    from litune.backends.nni.server import Draws, TrialServer
    from litune.errors import SearchFailed
    from litune.workers.resources import kill_group

    manager = Manager(url)
    try:
        experiment = manager.experiment()
    except OSError as error:
        raise SearchFailed(f"NNI's manager was lost before the search began: {error}") from error
    tuner = experiment.get("tuner") or {}
    once = str(tuner.get("name")).lower() == "gridsearch"
    listener = wire.listen(str(study.directory))
    clients = Clients(listener)
    server = TrialServer(study, workers, view, manager, clients, draws=Draws(by_study=False, once=once))
    looked = time.monotonic()
    try:
        while server.busy or time.monotonic() - clients.last_use < _IDLE:
            server.turn(_TURN)
            if time.monotonic() - looked > _LOOK:
                looked = time.monotonic()
                if not manager.alive():
                    break
    finally:
        clients.close()
        listener.close()
        if clients.group is not None and not manager.alive():
            kill_group(clients.group)  # a tuner that outlives its manager would disturb the experiment's next one
