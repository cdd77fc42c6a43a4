"""Runs in worker processes, a line of a results file each; the same command goes on where the last one stopped."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def rows(
    file: Path,
    jobs: Sequence[tuple[Any, ...]],
    run: Callable[[Any], Row],
    *,
    keys: Sequence[str],
    processes: int,
    load: Callable[..., None],
    given: tuple[Any, ...] = (),
) -> list[Row]:
    """Run the jobs that have no line yet, and return all rows. `keys` name what of a row is the job."""
    file.parent.mkdir(parents=True, exist_ok=True)
    done = {tuple(row[key] for key in keys) for row in _read(file)}
    todo = [job for job in dict.fromkeys(jobs) if job not in done]
    began = time.monotonic()
    context = multiprocessing.get_context("spawn")
    with file.open("a") as results, ProcessPoolExecutor(processes, context, load, given) as pool:
        for count, row in enumerate(pool.map(run, todo), 1):
            results.write(json.dumps(row) + "\n")
            results.flush()
            if count % 50 == 0:
                print(f"{count} of {len(todo)} runs, {time.monotonic() - began:.0f} s", flush=True)
    return _read(file)


def _read(file: Path) -> list[Row]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
