"""The engines that execute a search. What a trial means is defined elsewhere, once.

A backend is a module (or object) with `run(study, workers, view)`: until `study.done`, it asks the study for jobs, has
each executed somewhere, and hands what the trial says back to the study; optuna.py is the shortest to read. Third
parties add theirs by the entry-point group `litune.backends`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from litune.study.study import Study
    from litune.workers.pool import Workers

GROUP = "litune.backends"


class View(Protocol):
    """What a person watches while a search runs."""

    def refresh(self) -> None:
        """Show how the study stands; cheap enough to be called many times a second."""

    def say(self, text: str) -> None:
        """Print a line that stays."""


class Backend(Protocol):
    """An engine. WARM_PARENT: whether run() is given workers forked from a warm parent, or None.

    It may also have `check(config, space)`, which raises InputError before anything is started, and
    `prepare(config, space)`, a context manager around the whole search, entered while the parent warms up.
    """

    WARM_PARENT: bool

    def run(self, study: Study, workers: Workers | None, view: View) -> None:
        """Run the study's trials; return when `study.done`."""


def names() -> list[str]:
    """Return the known backends, ours and those of the entry-point group, in order."""
    return sorted(_entries())


def load(name: str) -> Backend:
    """Return a backend by its name."""
    from litune.errors import InputError, Problem, nearest

    known = _entries()
    if name not in known:
        expected = "one of " + ", ".join(names())
        raise InputError(Problem(key="backend", got=repr(name), expected=expected, nearest=nearest(name, known)))
    backend: Backend = known[name].load()
    return backend


def _entries() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points  # here, as every trial that NNI starts imports this package

    return {entry.name: entry for entry in entry_points(group=GROUP)}
