"""python benchmarks/start.py: how long a trial takes to start, and NNI's trial command.

Warm start: from the moment that the driver has the trial's params to the first line of the trial's own code, forked
from a parent that has imported torch and Lightning (optuna, one trial at a time and two). Client: the whole life of the
command that NNI starts a trial by, up to its first request, beside the bare interpreter's.
"""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import tempfile
import time
from datetime import timezone
from statistics import median
from typing import Any

import litune

TRIALS = 40
UTC = timezone.utc


def now(_params: dict[str, Any], _trial: Any) -> float:
    return time.time()


def warm_start(parallel: int) -> float:
    """Return the median over the trials, in milliseconds."""
    with tempfile.TemporaryDirectory() as root:
        with contextlib.redirect_stdout(io.StringIO()):
            found = litune.search(
                now, space={"x": litune.uniform(0, 1)}, trials=TRIALS, parallel=parallel, algorithm="random", runs=root
            )
        trials = found.study.trials
    return 1000 * median(trial.value - trial.datetime_start.replace(tzinfo=UTC).timestamp() for trial in trials)


def life(command: list[str]) -> float:
    """Return the median time that a command takes, in milliseconds."""
    took = []
    for _ in range(21):
        began = time.perf_counter()
        subprocess.run(command, capture_output=True, check=False)
        took.append(time.perf_counter() - began)
    return 1000 * median(took)


if __name__ == "__main__":
    print(f"the bare interpreter {life([sys.executable, '-c', 'pass']):6.0f} ms")
    print(f"NNI's trial command  {life([sys.executable, '-m', 'litune.backends.nni.trial']):6.0f} ms")
    for parallel in (1, 2):
        print(f"warm start, {parallel} at once {warm_start(parallel):6.0f} ms")
