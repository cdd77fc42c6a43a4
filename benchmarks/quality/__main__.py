"""Compare the searches: `python -m benchmarks.quality --tables ../shared/tables`; again to go on where it stopped.

Every run is one line of the results file; the report is made from all of its lines.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path


def main() -> None:
    from benchmarks.quality import report, runs

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=Path, required=True, help="the directory of taskset6.npz and lcbench/")
    parser.add_argument("--results", type=Path, default=Path("runs/quality.jsonl"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--arms", nargs="*", help="some of the arms")
    parser.add_argument("--picture", type=Path, help="draw regret over epochs into this file")
    given = parser.parse_args()
    from benchmarks.quality.arms import ARMS

    runs.load(given.tables)
    given.results.parent.mkdir(parents=True, exist_ok=True)
    lines = given.results.read_text().splitlines() if given.results.exists() else []
    done = {(row["arm"], row["task"], row["seed"]) for row in map(json.loads, lines)}
    jobs = [(arm, task, seed) for seed in range(given.seeds) for arm in given.arms or ARMS for task in runs.TASKS]
    todo = [job for job in jobs if job not in done]
    began = time.monotonic()
    with (
        given.results.open("a") as results,
        ProcessPoolExecutor(given.processes, multiprocessing.get_context("spawn"), runs.load, (given.tables,)) as pool,
    ):
        for count, row in enumerate(pool.map(runs.run, todo), 1):
            results.write(json.dumps(row) + "\n")
            results.flush()
            if count % 50 == 0:
                print(f"{count} of {len(todo)} runs, {time.monotonic() - began:.0f} s", flush=True)
    rows = [json.loads(line) for line in given.results.read_text().splitlines()]
    print(report.text(rows))
    if given.picture:
        from benchmarks.quality import picture

        picture.draw(rows, given.picture)


if __name__ == "__main__":
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"  # before numpy is imported here, and in the workers
    main()
