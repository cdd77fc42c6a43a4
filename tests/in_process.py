"""The command line's own functions in this process, where torch is imported once for all the tests of a file.

For what only reads, and for what trains in the process itself (backend=local); a search that forks, or that is killed,
needs a process of its own.
"""

import contextlib
import io
import json
import os
import warnings
from pathlib import Path

from litune import cli
from tests.preloaded import PROJECT


def litune(*words: str, code: int = 0) -> str:
    """Return what the command prints in the project, on stderr if it is to fail with this exit code."""
    before, out, err = Path.cwd(), io.StringIO(), io.StringIO()
    columns = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "200"
    os.chdir(PROJECT)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as of too few workers of a data loader
            assert cli.main(list(words)) == code, out.getvalue() + err.getvalue()
    finally:
        os.chdir(before)
        os.environ.pop("COLUMNS")
        if columns is not None:
            os.environ["COLUMNS"] = columns
    return err.getvalue() if code else out.getvalue()


def search(runs: Path, *overrides: str, name: str = "it", code: int = 0) -> str:
    """Return what a search of the tiny experiment prints."""
    words = ["backend=local", "experiment=tiny", f"name={name}", f"search.runs={runs}"]
    return litune("search", *words, *overrides, code=code)


def trials(run: Path) -> list[dict]:
    """Return the trial table of a run."""
    table: list[dict] = json.loads(litune("trials", str(run), "--format", "json"))
    return table


def timeline(run: Path) -> str:
    """Return the part of a run's report that shows when each trial ran."""
    litune("report", str(run))
    return (run / "report.html").read_text().partition("<h2>Timeline")[2].partition("<h2>")[0]


def table(run: Path) -> list[tuple[str, ...]]:
    """Return the trial table as text: what must be bit-equal."""
    keys = ("number", "params", "state", "score", "history")
    return [tuple(json.dumps(row[key]) for key in keys) for row in trials(run)]


def digest_of(printed: str) -> str:
    """Return the digest that ends what a search has printed."""
    return printed.splitlines()[-1].removeprefix("digest ")
