"""`litune dashboard RUN`: start what fits the run, print the addresses, and end it all on Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

from litune.arguments import WHERE
from litune.dashboards import engines, pages
from litune.dashboards.guard import is_loopback
from litune.dashboards.pages import Page
from litune.errors import InputError, Problem
from litune.study import ledger, runs

KINDS = ("optuna", "tensorboard", "nni", "ray")
_OF_ONE = "tensorboard"  # what a single training has too
_PORTS = range(1024, 65535)  # the second page has the next one


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the command's words to a parser."""
    parser.add_argument("run", help="a run directory, or its name under runs/")
    parser.add_argument("--only", choices=KINDS, help="this one; without it all that fit the run")
    parser.add_argument("--write", action="store_true", help="let optuna-dashboard change the ledger")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on; without it this machine alone")
    parser.add_argument("--port", type=_port, default=0, help="the first page's port, the next one's follows it")


def show(options: argparse.Namespace) -> int:
    """Show the dashboards until Ctrl-C; return the exit code."""
    directory = runs.find(options.run)
    url = _ledger(directory) if runs.is_search(directory) else None
    if url is None and options.only not in (None, _OF_ONE):
        raise InputError(_of_a_search(options.only, directory))
    wanted = (options.only,) if options.only else KINDS if url else (_OF_ONE,)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as stack:
        found = list(started(stack, directory, url, wanted, options.host, options.port, write=options.write))
        if not found:
            raise InputError(_nothing(options.only, directory))
        for page in found:
            print(f"{page.name:<16} {page.url}", flush=True)
        if not is_loopback(options.host):
            print("Whoever reads these addresses on the way, or is told them, sees the run: HTTP is not encrypted.")
        if not any(page.served for page in found):
            return 0
        print("Ctrl-C ends them.", flush=True)
        signal.pause()
    return 0


def started(
    stack: contextlib.ExitStack,
    directory: Path,
    url: str | None,
    wanted: tuple[str, ...],
    host: str,
    port: int,
    *,
    write: bool,
) -> Iterator[Page]:
    """Yield the wanted pages that fit the run, whose ledger is at `url`; those served from here end with the stack."""
    logs = directory / "trials" if url else directory
    served: dict[str, Callable[[int], contextlib.AbstractContextManager[Page]]] = {
        "optuna": lambda port: pages.optuna_page(url or "", directory.name, write=write, host=host, port=port),
        "tensorboard": lambda port: pages.tensorboard_page(logs, directory.name, host=host, port=port),
    }
    for place, kind in enumerate(kind for kind in wanted if kind in served):
        yield stack.enter_context(served[kind](port + place if port else 0))
    for kind, name, find in (("nni", "NNI", engines.nni_pages), ("ray", "Ray", engines.ray_pages)):
        if kind in wanted:
            yield from (Page(name=name, url=address, served=False) for address in find(directory))


def _ledger(directory: Path) -> str:
    """Return the URL of a search's ledger, which can be read."""
    config, _, _ = runs.read(directory)
    return ledger.storage_url(directory, config.search.storage)


def _of_a_search(only: str, directory: Path) -> Problem:
    expected = f"{_OF_ONE}: a single training has no other page"
    return Problem(where=str(directory), key="--only", got=only, expected=expected)


def _nothing(only: str, directory: Path) -> Problem:
    cures = {
        "nni": "its page is up while a search with backend=nni runs; with backend.keep_ui=true also afterwards",
        "ray": "its page is up while a search with backend=ray backend.dashboard=true runs",
    }
    return Problem(
        where=str(directory), key="--only", got=only, expected="a page that answers now", cure=cures.get(only, "")
    )


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) in _PORTS):
        expected = f"a port from {_PORTS[0]} to {_PORTS[-1]}"
        raise InputError(Problem(where=WHERE, key="--port", got=text, expected=expected))
    return int(text)
