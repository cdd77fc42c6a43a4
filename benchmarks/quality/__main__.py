"""Compare the searches: `python -m benchmarks.quality --tables DIR`; again to go on where it stopped.

Every run is one line of the results file; the report is made from all of its lines.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def main() -> None:
    from benchmarks.quality import report, resumable, runs

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
    jobs = [(arm, task, seed) for seed in range(given.seeds) for arm in given.arms or ARMS for task in runs.TASKS]
    keys = ("arm", "task", "seed")
    rows = resumable.rows(
        given.results, jobs, runs.run, keys=keys, processes=given.processes, load=runs.load, given=(given.tables,)
    )
    print(report.text(rows))
    if given.picture:
        from benchmarks.quality import picture

        picture.draw(rows, given.picture)


if __name__ == "__main__":
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"  # before numpy is imported here, and in the workers
    main()
