"""NNI's manager: started through NNI's Python API, held to this machine, and ended with all that it started."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from litune.backends.nni import env, wire
from litune.backends.nni.rest import Manager
from litune.errors import SearchFailed
from litune.space_file import dump
from litune.study import Study
from litune.workers.limits import kill_group

FIRST_PORT = 8080
_GRACE = 5.0  # seconds for the manager to close its database


class Launched:
    """A running manager."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, experiment: str) -> None:
        self.process, self.experiment = process, experiment
        self.manager = Manager(url)

    def check(self) -> None:
        """Raise SearchFailed if the manager is gone."""
        status = self.process.poll()
        if status is not None:
            how = f"by {signal.Signals(-status).name}" if status < 0 else f"with exit code {status}"
            raise SearchFailed(f"NNI's manager ended {how} before the search was done; the same command continues it")

    def stop(self, tuner: int | None) -> None:
        """End the manager and everything that it started; `tuner` is the pid of its tuner, if that is ours."""
        self.process.terminate()
        if tuner is not None:  # else the manager waits seconds for it
            with contextlib.suppress(ProcessLookupError):
                os.kill(tuner, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_GRACE)
        kill_group(self.process.pid)
        self.process.wait()


def start(study: Study, settings: Mapping[str, Any]) -> Launched:
    """Start the manager for the study; SearchFailed where it does not come up, or listens to more than this machine."""
    port = settings["port"] or free_port()
    experiment = _experiment(study, settings)
    from nni.experiment import RunMode

    with _environment(study.directory):
        try:
            experiment.start(port, run_mode=RunMode.Detach)  # its output goes to its own log, its end is ours to see to
        except Exception as error:
            raise SearchFailed(f"NNI's manager did not start: {error}; its logs: {study.directory / 'nni'}") from error
    process = experiment._proc
    launched = Launched(process, f"http://127.0.0.1:{port}", experiment.id)
    if wide := addresses(process.pid):
        launched.stop(None)
        raise SearchFailed(f"NNI's manager listened on {', '.join(wide)}: stopped, as anybody could run commands by it")
    return launched


def _experiment(study: Study, settings: Mapping[str, Any]) -> Any:
    logging.getLogger("nni").setLevel(logging.WARNING)
    from nni.experiment import CustomAlgorithmConfig, Experiment

    logging.getLogger("nni").setLevel(logging.WARNING)
    work = study.directory / "nni"
    work.mkdir(mode=0o700, exist_ok=True)
    experiment = Experiment("local")
    config = experiment.config
    config.experiment_name = study.directory.name
    config.experiment_working_directory = str(work)
    config.trial_command = shlex.join([sys.executable, "-m", "litune.backends.nni.trial"])
    config.trial_code_directory = str(Path.cwd())
    config.trial_concurrency = study.parallel
    config.search_space = dump(study.space)
    config.assessor = _algorithm(settings["assessor"])
    if settings["tuner"]:
        config.tuner = _algorithm(settings["tuner"])
        config.max_trial_number = study.total - len(study.rows)
    else:
        config.tuner = CustomAlgorithmConfig(
            class_name="litune.backends.nni.tuner.DriverTuner",
            code_directory=str(Path.cwd()),
            class_args={"directory": str(study.directory)},
        )
    return experiment


def _algorithm(given: Any) -> Any:
    from nni.experiment import AlgorithmConfig

    if not given:
        return None
    name, arguments = (given, {}) if isinstance(given, str) else (given["name"], given.get("classArgs") or {})
    return AlgorithmConfig(name=name, class_args=dict(arguments))


@contextlib.contextmanager
def _environment(directory: Path) -> Iterator[None]:
    added = {"NODE_OPTIONS": env.node_options("loopback.js", "watch.js"), wire.RUN: str(directory)}
    before = {name: os.environ.get(name) for name in added}
    os.environ.update(added)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def free_port() -> int:
    """Return the first free port from 8080 on."""
    return next(port for port in range(FIRST_PORT, 65536) if not _listened(port))


def _listened(port: int) -> bool:
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
