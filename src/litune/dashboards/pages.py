"""The pages that serve any run: optuna-dashboard over its ledger, TensorBoard over its trials' logs."""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.storages import RDBStorage
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from litune.arguments import WHERE
from litune.dashboards.guard import READING, App, Guard, is_wildcard
from litune.errors import InputError, MissingExtra, Problem
from litune.study.database import file_of, uri_of, url_of

_RELOAD = 5.0  # seconds between two looks of TensorBoard at the logs


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page and its address, which holds a token where the page is `served` by this process."""

    name: str
    url: str
    served: bool = True


class _Silent(WSGIRequestHandler):
    """A handler that keeps the addresses asked for, one of which holds the token, out of the terminal."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing."""


@contextlib.contextmanager
def optuna_page(url: str, study: str, *, write: bool, host: str, port: int) -> Iterator[Page]:
    """Serve optuna-dashboard over the study at a ledger's URL; unless `write`, SQLite itself refuses to change it."""
    if importlib.util.find_spec("optuna_dashboard") is None:
        raise MissingExtra("dashboard", "optuna-dashboard")
    import optuna_dashboard

    storage = RDBStorage(url if write else _read_only(url), engine_kwargs={} if write else _quiet(url))
    refusal = "this page is read-only; litune dashboard RUN --write lets it change the ledger"
    methods = None if write else READING
    try:
        guard = Guard(optuna_dashboard.wsgi(storage), host, methods=methods, refusal=refusal)
        with _served(guard, host, port) as address:
            place = f"/dashboard/studies/{storage.get_study_id_from_name(study)}"
            yield Page(name="optuna-dashboard", url=f"{address}{place}?token={guard.token}")
    finally:
        storage.engine.dispose()


@contextlib.contextmanager
def tensorboard_page(logs: Path, title: str, *, host: str, port: int) -> Iterator[Page]:
    """Serve TensorBoard over the logs below a directory. It can change nothing; its POSTs carry long questions."""
    from tensorboard import program

    application: list[App] = []

    class Taken:
        """Hands over the application instead of serving it."""

        def __init__(self, app: App, _flags: Any) -> None:
            application.append(app)

        def serve_forever(self) -> None:
            """Leave it to our server."""

        def get_url(self) -> str:
            """Leave it to our server."""
            return ""

    board = program.TensorBoard(server_class=Taken)
    # its data server would listen on a port of its own, without a guard
    board.configure(logdir=str(logs), load_fast="false", reload_interval=_RELOAD, window_title=title)
    board.launch()
    guard = Guard(application[0], host, methods=READING | {"POST"}, refusal="TensorBoard only reads")
    with _served(guard, host, port) as address:
        yield Page(name="TensorBoard", url=f"{address}/?token={guard.token}#hparams")


@contextlib.contextmanager
def _served(app: App, host: str, port: int) -> Iterator[str]:
    """Serve the application in a thread, at a free port if `port` is 0; yield http://HOST:PORT."""
    server = _listening(app, host, port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    shown = "127.0.0.1" if is_wildcard(host) else host
    try:
        yield f"http://{f'[{shown}]' if ':' in shown else shown}:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _listening(app: App, host: str, port: int) -> BaseWSGIServer:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.closing(socket.socket(family)) as listener:  # werkzeug's own ends the process on a busy port
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            key, got = ("--port", str(port)) if port else ("--host", host)
            expected = f"an address and a free port of this machine: {error.strerror}"
            raise InputError(Problem(where=WHERE, key=key, got=got, expected=expected)) from None
        listener.listen()
        return make_server(host, port, app, threaded=True, request_handler=_Silent, fd=listener.fileno())


def _read_only(url: str) -> str:
    file = file_of(url)
    return url_of(uri_of(file), mode="ro", uri="true") if file else url


def _quiet(url: str) -> dict[str, Any]:
    return {"connect_args": {"timeout": 30}} if file_of(url) else {}
