"""The addresses of the pages that NNI and Ray serve by themselves while they work on a run."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from litune.backends.nni.rest import Manager
from litune.study.runs import RAY_PAGE

_RECORD = Path("nni-experiments", ".experiment")  # below the home directory: NNI's list of its experiments
_OF_NNICTL = "nni-"  # the run of an experiment that nnictl started is named so, with the experiment's id


def nni_pages(directory: Path) -> Iterator[str]:
    """Yield the address of each NNI manager that is at work on the run, and answers for the experiment NNI lists."""
    with contextlib.suppress(OSError, ValueError):
        for identity, entry in json.loads((Path.home() / _RECORD).read_text()).items():
            mine = Path(entry["logDir"]) == directory / "nni" or directory.name == f"{_OF_NNICTL}{identity}"
            if mine and _answers(url := _address(entry), identity):
                yield url


def ray_pages(directory: Path) -> Iterator[str]:
    """Yield the address of Ray's dashboard, if a driver at work on the run has left it and somebody listens there."""
    with contextlib.suppress(OSError):
        if Manager(url := (directory / RAY_PAGE).read_text().strip()).alive():
            yield url


def _address(entry: dict[str, object]) -> str:
    prefix = f"/{entry['prefixUrl']}" if entry.get("prefixUrl") else ""
    return f"http://127.0.0.1:{entry['port']}{prefix}"


def _answers(url: str, identity: str) -> bool:
    try:
        return bool(Manager(url).get("/experiment")["id"] == identity)
    except (OSError, ValueError, KeyError):
        return False
