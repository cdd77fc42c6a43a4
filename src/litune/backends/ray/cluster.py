"""The connection to Ray that a search has: a cluster started on this machine, or one joined, and left at the end."""

from __future__ import annotations

import contextlib
import functools
import importlib
import math
import os
import select
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from litune import interrupts
from litune.backends import View
from litune.backends.ray import checks, lean, watch
from litune.errors import InputError, Problem, SearchFailed
from litune.patches import replaced

# What keeps Ray quiet and in its place; a user's own setting of a variable stands.
_ENVIRONMENT = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",  # it answers a SIGTERM while the driver connects by abort()
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Tune would end as if it had finished
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # nobody restores Tune's own record: the ledger is the record
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a trial that failed has no metric
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


# Ray's word for a cluster of one machine. Without it Ray turns 127.0.0.1 into the machine's own address, and its
# processes, which have no password, listen on every one.
_ONE_MACHINE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
_PENDING = "TUNE_MAX_PENDING_TRIALS_PG"
_PILLARS = ("gcs_server", "raylet")  # without them calls into Ray wait for a minute, and end this process in C++


def set_environment(settings: Any) -> None:
    """Set the variables that Ray reads when it is imported."""
    for name, value in {**_ENVIRONMENT, **({} if settings.address else _ONE_MACHINE)}.items():
        os.environ.setdefault(name, value)


@contextlib.contextmanager
def joined(settings: Any, share: Mapping[str, float], parallel: int) -> Iterator[None]:
    """Be connected to Ray: to `settings.address`, or to a cluster of our own with room for `parallel` shares.

    A program that is connected already stays as it is.
    """
    set_environment(settings)
    with interrupts.held_back():  # Ray's compiled parts swallow an interruption while they are imported
        import ray

    if ray.is_initialized():
        yield
        return
    alone = lean.known() and not (settings.address or settings.dashboard)
    with (
        contextlib.nullcontext() if settings.address else _watched(),
        lean.nodes() if alone else contextlib.nullcontext(),
    ):
        leaving = threading.Event()
        try:
            _init(_options(settings, math.ceil(parallel * share["cpu"]), alone=alone), settings.address)
            if not settings.address:
                threading.Thread(target=_leave_with, args=[_pillars(), leaving], daemon=True).start()
            with interrupts.held_back():
                importlib.import_module("ray.tune")  # here, where there is time
            with _staged() if str(settings.address).startswith("ray://") else contextlib.nullcontext():
                yield
        finally:
            leaving.set()
            ray.shutdown()


@contextlib.contextmanager
def pending(trials: int) -> Iterator[None]:
    """Have Tune ask for so many trials at once meanwhile, unless the user has set how many."""
    if _PENDING in os.environ:
        yield
        return
    os.environ[_PENDING] = str(trials)
    try:
        yield
    finally:  # the next search of this process may run others
        os.environ.pop(_PENDING, None)


def _options(settings: Any, cpus: int, *, alone: bool) -> dict[str, Any]:
    """Return what ray.init() is given; `alone`: a cluster without Ray's own dashboard and agents (lean.py)."""
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if settings.address:
        return options | {"address": settings.address}
    options |= {"address": "local", "_node_ip_address": "127.0.0.1"}
    options |= {"include_dashboard": settings.dashboard, "dashboard_host": "127.0.0.1"}
    options["_system_config"] = {"prestart_worker_first_driver": alone, **(lean.WORKERS if alone else {})}
    options["num_cpus"] = settings.num_cpus or max(1, cpus)
    if settings.num_gpus is not None:
        options["num_gpus"] = settings.num_gpus
    return options


def _init(options: dict[str, Any], address: str | None) -> None:
    import ray
    from ray._private import utils

    try:
        if address == "auto":
            _find()
        # Ray ends its driver on SIGTERM, whatever there is to do first
        kept = replaced(utils, set_sigterm_handler=_leave) if interrupts.watched() else contextlib.nullcontext()
        with kept, contextlib.nullcontext() if address else _undisturbed():
            try:
                ray.init(**options)
            except ConnectionAbortedError:  # a cluster's client server starts one for each client, which fails at times
                ray.init(**options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        if address is None:
            raise SearchFailed(f"Ray did not start: {error}") from error
        expected = "the address of a running Ray cluster: auto, HOST:6379 or ray://HOST:10001"
        lines = str(error).strip().splitlines() or [type(error).__name__]
        cure = " ".join(dict.fromkeys([lines[0], lines[-1]]))  # between them lies Ray's traceback
        raise InputError(Problem(key="backend.address", got=repr(address), expected=expected, cure=cure)) from error


def _leave(_handler: object) -> None:
    """Leave SIGTERM to whom it is."""


def _find() -> None:
    """Raise ConnectionError unless a cluster is where Ray would look for one."""
    from ray._private import services

    cure = "start one by `ray start --head`, or leave backend.address out for one of this search's own"
    try:
        found = services.get_ray_address_from_environment("auto", None)
    except ConnectionError as error:
        raise ConnectionError(f"Ray finds none here; {cure}") from error
    if why := checks.unanswered(found):
        place = f"{found}, which RAY_ADDRESS names or an earlier cluster has left behind"
        raise ConnectionError(f"nothing answers at {place} ({why}); {cure}")


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Start and join processes that no signal to this one's group or terminal ends: Ray's C++ would end this one.

    This process ends them, once it has joined them, as Ray cannot be left half-way.
    """
    from ray._private import services

    apart = functools.partial(services.ConsolePopen, start_new_session=True)
    with replaced(services, ConsolePopen=apart), interrupts.held_back():
        yield


@contextlib.contextmanager
def _staged() -> Iterator[None]:
    """Give Tune's driver a directory in place of a Ray session's on this machine: a client of ray:// has none."""
    from ray.train._internal import storage

    with (
        tempfile.TemporaryDirectory(prefix="litune-ray-") as directory,
        replaced(storage, _get_ray_train_session_dir=lambda: directory),
    ):
        yield


@contextlib.contextmanager
def _watched() -> Iterator[None]:
    """Have Ray's processes ended with this one, however it ends."""
    command = [sys.executable, "-I", "-S", watch.__file__, str(os.getpid())]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603 - our own script
    assert process.stdin
    try:
        yield
    finally:
        process.kill()
        process.stdin.close()
        process.wait()


@contextlib.contextmanager
def page_noted(directory: Path, view: View) -> Iterator[None]:
    """Say where Ray's dashboard is, if there is one, and note it in the run directory meanwhile."""
    from ray._private.worker import get_dashboard_url
    from ray.util.client import ray as client

    from litune.study.runs import RAY_PAGE  # imports Optuna, which is not to be there when the warm parent is forked

    if client.is_connected() or not (address := get_dashboard_url()):  # a client of ray:// is not told
        yield
        return
    path = directory / RAY_PAGE
    path.write_text(f"http://{address}\n")
    view.say(f"Ray's dashboard: http://{address} (if it asks for a token: ray get-auth-token)")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _pillars() -> dict[int, str]:
    """Return the processes that Ray cannot be without, as pidfd -> name."""
    found = {}
    for process in watch.processes(os.getpid()):
        with contextlib.suppress(OSError):
            name = Path(Path(f"/proc/{process}/cmdline").read_text().split("\0")[0]).name
            if name in _PILLARS:
                found[os.pidfd_open(process)] = name
    return found


def _leave_with(pillars: Mapping[int, str], leaving: threading.Event) -> None:
    """End this process, from a thread of its own, when one of those processes ends before we are `leaving`."""
    ended = select.poll()
    for pidfd in pillars:
        ended.register(pidfd, select.POLLIN)
    fallen = [pidfd for pidfd, _ in ended.poll()]
    for pidfd in pillars:
        os.close(pidfd)
    if not leaving.is_set():
        shown = "\x1b[?25h" if sys.stderr.isatty() else ""  # the live view hides the cursor
        text = f"Ray's {pillars[fallen[0]]} ended before the search was done; the same command continues it"
        print(f"{shown}{text}", file=sys.stderr, flush=True)
        os._exit(SearchFailed.exit_code)
