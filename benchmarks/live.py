"""python -m benchmarks.live [digits_mlp mnist_cnn] [--mnist DIR]: real trainings, litune's `auto` beside Optuna's loop.

The budget is the epochs of 8 full trainings for both; the loop (by_hand/optuna_pruned.py) is Optuna's default, TPE and
MedianPruner. One trial at a time on one thread; with --defaults as both are by themselves: the loop's one trial has all
cores, litune trains several at once. Times are wall times from the start of the command, with all that starting and
restoring costs; each validation is noted by the same callback.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

HERE = Path(__file__).parent
TRAININGS = 8
EPOCHS = {"digits_mlp": 5, "mnist_cnn": 10}
METRICS = {"digits_mlp": ("val_acc", "max"), "mnist_cnn": ("valid_loss", "min")}
Seen = list[tuple[float, float]]  # (seconds since the command's start, value) of each validation


class Clock(pl.Callback):
    """Note the time and value of each validation in a file."""

    def __init__(self, file: str, metric: str) -> None:
        self.file, self.metric = file, metric

    def on_validation_end(self, trainer: pl.Trainer, _module: pl.LightningModule) -> None:
        """Append a line."""
        if not trainer.sanity_checking:
            with Path(self.file).open("a") as lines:
                lines.write(json.dumps([time.time(), float(trainer.callback_metrics[self.metric])]) + "\n")


def seen(command: list[str], clock: Path, environment: dict[str, str]) -> Seen:
    """Run a search from start to end; return what its trainings reported."""
    start = time.time()
    done = subprocess.run(command, cwd=HERE.parent, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return [(at - start, value) for at, value in map(json.loads, clock.read_text().splitlines())]


def search(who: str, experiment: str, seed: int, trainer: dict[str, Any], mnist: Path, alone: bool = True) -> Seen:
    """Run one search by litune or by the loop; `alone`: one trial at a time, on one thread."""
    metric, _ = METRICS[experiment]
    with tempfile.TemporaryDirectory() as root:
        clock = Path(root) / "clock"
        environment = {**os.environ, "PYTHONPATH": str(HERE.parent), **({"OMP_NUM_THREADS": "1"} if alone else {})}
        if who == "litune":
            words = [f"experiment={experiment}", "search.algorithm=auto", f"search.trials={TRAININGS}", f"seed={seed}"]
            words += ["search.parallel=1", "search.threads=1"] if alone else []
            words += ["name=live", f"search.runs={root}", "allow=[benchmarks]"]
            words += [f"trainer.{name}={value}" for name, value in trainer.items()]
            words += ["callbacks.clock._target_=benchmarks.live.Clock"]
            words += [f"callbacks.clock.file={clock}", f"callbacks.clock.metric={metric}"]
            words += [f"data.root={mnist}"] if experiment == "mnist_cnn" else []
            return seen([sys.executable, "search.py", *words], clock, environment)
        environment |= {"LIVE_TRAINER": json.dumps(trainer), "LIVE_MNIST": str(mnist)}
        budget = TRAININGS * EPOCHS[experiment]
        words = [str(HERE / "by_hand" / "optuna_pruned.py"), experiment, str(budget), str(seed), root, str(clock)]
        return seen([sys.executable, *words], clock, environment)


def reached(values: Seen, target: float, mode: str) -> tuple[float, int] | None:
    """Return (seconds, epochs) until a value is as good as the target; None if none is."""
    for epochs, (at, value) in enumerate(values, 1):
        if (value >= target) if mode == "max" else (value <= target):
            return at, epochs
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", nargs="*", default=["digits_mlp", "mnist_cnn"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--mnist", type=Path, default=Path("data"), help="the directory that holds MNIST/raw")
    parser.add_argument("--part", type=float, default=1.0, help="of the batches of an MNIST epoch, for both")
    parser.add_argument("--defaults", action="store_true", help="not one trial on one thread: what each does by itself")
    given = parser.parse_args()
    alone, mnist = not given.defaults, given.mnist.resolve()
    print(
        "experiment  seed | loop: score, s, epochs | litune: score, s, epochs | to the loop's score: s, epochs, ratios"
    )
    for experiment in given.experiments:
        metric, mode = METRICS[experiment]
        trainer: dict[str, Any] = {"max_epochs": EPOCHS[experiment]}
        if experiment == "mnist_cnn" and given.part < 1:
            trainer |= {"limit_train_batches": given.part, "limit_val_batches": max(given.part, 0.2)}
        for seed in given.seeds:
            sought = {who: search(who, experiment, seed, trainer, mnist, alone) for who in ("loop", "litune")}
            best = max if mode == "max" else min
            scores = {who: best(value for _, value in values) for who, values in sought.items()}
            theirs, ours = (reached(values, scores["loop"], mode) for values in sought.values())
            assert theirs is not None, "the loop reaches its own score"
            line = f"{experiment:11} {seed:4} "
            for who, values in sought.items():
                line += f"| {scores[who]:.4f} {values[-1][0]:6.1f} {len(values):4} "
            if ours is None:
                line += "| not reached"
            else:
                whole = sought["loop"][-1][0]
                line += f"| {ours[0]:6.1f} {ours[1]:4} {ours[0] / theirs[0]:.2f} {ours[0] / whole:.2f}"
            print(line, flush=True)
        print(f"({metric}, {mode}; ratios: to the loop's time until its final score, and to all of its time)")


if __name__ == "__main__":
    main()
