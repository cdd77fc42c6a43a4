"""NNI's manager: started through NNI's Python API, held to this machine, and ended with all that it started."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from litune.algorithms import auto
from litune.backends.nni import algorithms, env, wire
from litune.backends.nni.rest import Manager
from litune.errors import SearchFailed
from litune.parallelism import lag_of, parallel_of
from litune.patches import replaced
from litune.space.space import Space
from litune.space.space_file import dump
from litune.steps import trials_in_all
from litune.umask import private
from litune.workers.resources import kill_group

FIRST_PORT = 8080
FOLDER = "nni"  # NNI's own files in the run directory
_GRACE = 2.0  # seconds for the manager to close its database
_PATIENCE = 30  # seconds for the manager to come up; NNI itself gives it three, too few on a busy machine
_started: Launched | None = None


class Launched:
    """A running manager, and the socket at which its processes reach the driver."""

    def __init__(
        self, process: subprocess.Popen[bytes], url: str, experiment: str, folder: Path, listener: socket.socket
    ) -> None:
        """Take the manager's process, and where NNI keeps the experiment's files."""
        self.process, self.experiment, self.folder, self.listener = process, experiment, folder, listener
        self.manager = Manager(url)
        self.tuner: int | None = None  # the pid of its tuner, if that is ours
        self.kept = False  # whether it may outlive this process

    def check(self) -> None:
        """Raise SearchFailed if the manager is gone."""
        status = self.process.poll()
        if status is not None:
            how = f"by {signal.Signals(-status).name}" if status < 0 else f"with exit code {status}"
            raise SearchFailed(f"NNI's manager ended {how} before the search was done; the same command continues it")

    def status(self) -> str:
        """Return the manager's word for how the experiment stands; SearchFailed where that is an error."""
        try:
            answer = self.manager.get("/check-status")
        except OSError:
            return "UNKNOWN"
        if answer["status"] == "ERROR":
            logs = self.folder / self.experiment / "log"
            raise SearchFailed(f"NNI says: {'; '.join(answer['errors'])} Its logs: {logs}")
        return str(answer["status"])

    def stop(self) -> None:
        """End the manager and everything that it started."""
        self.process.terminate()
        if self.tuner is not None:  # else the manager waits seconds for it
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.tuner, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_GRACE)
        kill_group(self.process.pid)
        self.process.wait()


@contextlib.contextmanager
def started(config: DictConfig, space: Space) -> Iterator[Launched]:
    """Start the manager, or share the one that an outer `with` has started; the outermost ends it."""
    global _started
    if _started is not None:
        yield _started
        return
    from litune.study import identity, opening  # not above: Optuna, which the warm parent need not wait for

    directory = identity.directory_of(config, space)
    new = not directory.exists()
    with private():
        opening.make(directory / FOLDER, config)
    place = tempfile.mkdtemp(prefix="litune-nni-")  # not the run directory: its lock is not held yet
    try:
        with contextlib.closing(wire.listen(place)) as listener:
            _started = _start(config, space, directory, place, listener)
            try:
                yield _started
            finally:
                launched, _started = _started, None
                if not launched.kept:
                    launched.stop()
    finally:
        shutil.rmtree(place, ignore_errors=True)
        if new and not (directory / "config.yaml").exists():  # the search never began
            shutil.rmtree(directory, ignore_errors=True)


def _start(config: DictConfig, space: Space, directory: Path, place: str, listener: socket.socket) -> Launched:
    experiment = _experiment(config, space, directory, place)
    from nni.experiment import RunMode, launcher

    patient = functools.partial(launcher._check_rest_server, retry=_PATIENCE)
    with (
        claimed_port(config.backend.port) as port,
        _environment(place),
        replaced(launcher, _check_rest_server=patient),
    ):
        try:
            experiment.start(port, run_mode=RunMode.Detach)  # its output goes to its own log, its end is ours to see to
        except Exception as error:
            raise SearchFailed(f"NNI's manager did not start: {error}; its logs: {directory / FOLDER}") from error
    url = f"http://127.0.0.1:{port}"
    launched = Launched(experiment._proc, url, experiment.id, directory / FOLDER, listener)
    if wide := addresses(launched.process.pid):
        launched.stop()
        raise SearchFailed(f"NNI's manager listened on {', '.join(wide)}: stopped, as anybody could run commands by it")
    return launched


def _experiment(config: DictConfig, space: Space, directory: Path, place: str) -> Any:
    from nni.experiment import CustomAlgorithmConfig, Experiment

    logging.getLogger("nni").setLevel(logging.CRITICAL)  # what goes wrong is raised too
    experiment = Experiment("local")
    options = experiment.config
    options.experiment_name = directory.name
    options.experiment_working_directory = str(directory / FOLDER)
    options.trial_command = shlex.join([sys.executable, "-m", "litune.backends.nni.trial"])
    options.trial_code_directory = str(Path.cwd())
    options.trial_concurrency = parallel_of(config) + (0 if config.backend.tuner else ahead_of(config, space))
    options.search_space = dump(space)
    options.assessor = _algorithm(config.backend.assessor, config.objective.mode)
    if config.backend.tuner:
        options.tuner = _algorithm(config.backend.tuner, config.objective.mode)
        options.max_trial_number = trials_in_all(config)
    else:
        options.tuner = CustomAlgorithmConfig(
            class_name="litune.backends.nni.tuner.DriverTuner",
            code_directory=str(Path.cwd()),
            class_args={"directory": place},
        )
    return experiment


def ahead_of(config: DictConfig, space: Space) -> int:
    """Return how many trials NNI may start in advance, as far as lag lets them be known: each takes it a second."""
    parallel, (algorithm, _) = parallel_of(config), auto.of(config, space)
    return max(0, min(parallel, lag_of(config, algorithm) - parallel))


def _algorithm(given: Any, mode: str) -> Any:
    from nni.experiment import AlgorithmConfig

    if not given:
        return None
    name, arguments = algorithms.named(given)
    if name.lower() in algorithms.DIRECTED:
        arguments.setdefault("optimize_mode", algorithms.DIRECTIONS[mode])
    return AlgorithmConfig(name=name, class_args=arguments)


@contextlib.contextmanager
def _environment(place: str) -> Iterator[None]:
    added = {"NODE_OPTIONS": env.node_options("loopback.js", "watch.js", "patience.js"), wire.RUN: place}
    before = {name: os.environ.get(name) for name in added}
    os.environ.update(added)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


@contextlib.contextmanager
def claimed_port(wanted: int | None) -> Iterator[int]:
    """Yield the wanted port, else the first free one from 8080 on; no other search takes it before a manager listens.

    NNI asks whoever answers at the port whether it has started, were it another search's manager.
    """
    for port in [wanted] if wanted else range(FIRST_PORT, 65536):
        with socket.socket(socket.AF_UNIX) as claim:
            try:
                claim.bind(f"\0litune-nni-{port}")  # a name that is free again when this process lets go of it
            except OSError:
                continue
            if not in_use(port):
                yield port
                return
    raise SearchFailed(f"NNI's manager did not start: port {wanted or f'{FIRST_PORT} and all above'} is taken by now")


def in_use(port: int) -> bool:
    """Say whether a process of this machine listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def addresses(pid: int) -> list[str]:
    """Return the addresses beyond this machine that a process listens on, by the kernel's socket table."""
    import psutil

    found = psutil.Process(pid).net_connections(kind="inet")
    listening = [connection.laddr for connection in found if connection.status == psutil.CONN_LISTEN]
    assert listening, "the manager serves its page by now"
    return [f"{address.ip}:{address.port}" for address in listening if not _is_here(address.ip)]


def _is_here(address: str) -> bool:
    return address == "::1" or address.startswith(("127.", "::ffff:127."))
