"""python benchmarks/side_by_side.py [--trials 20] [--rounds 3] [--picture FILE] [optuna ray nni].

litune beside hand-written scripts: the same search (digits, 5 epochs, 4 hyperparameters, two trials at a time) by
litune and by the scripts of by_hand/, each a whole process from its start to its end, in turn. Prints the ratio of the
best times, the lower the better for litune, and how many times the floor (by_hand/floor.py) litune takes.
"""

from __future__ import annotations

import argparse
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
BY_HAND = HERE / "by_hand"
REFERENCES = {
    "optuna": {"tutorial loop, one process": ["optuna_loop.py"]},
    "ray": {"reuse_actors=True": ["ray_tune.py", "reuse"], "reuse_actors=False, the default": ["ray_tune.py"]},
    "nni": {"Experiment API, one process a trial": ["nni_experiment.py", "PORT"]},
}


def seconds(command: list[str], directory: Path) -> float:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    start = time.perf_counter()
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True)
    took = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return took


def by_hand(script: list[str], trials: int) -> float:
    with tempfile.TemporaryDirectory() as root:
        words = [str(free_port()) if word == "PORT" else word for word in script[1:]]
        return seconds([sys.executable, script[0], str(trials), root, *words], BY_HAND)


def litune(backend: str, trials: int) -> float:
    with tempfile.TemporaryDirectory() as root:
        words = [f"backend={backend}", f"search.trials={trials}", "search.parallel=2", "search.algorithm=tpe"]
        # the same logging as by hand: every 50 steps, and one checkpoint of the best epoch
        words += ["name=bench", f"search.runs={root}", "trainer.log_every_n_steps=50"]
        return seconds([sys.executable, "search.py", *words], HERE.parent)


def floor(trials: int) -> float:
    return seconds([sys.executable, "floor.py", str(trials)], BY_HAND)


def draw(ratios: dict[str, float], file: Path) -> None:
    """Draw litune's time as a share of each reference's."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 0.4 * len(ratios) + 0.9), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(list(ratios), list(ratios.values()), color="#4477aa")
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.axvline(1, color="0.4", linewidth=1)
    axes.set(xlabel="litune's time / the script's time", xlim=(0, 1.1))
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=150)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[20])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("backends", nargs="*", default=["optuna"], choices=[*REFERENCES])
    options = parser.parse_args()
    packages = ("torch", "pytorch-lightning", "optuna", "ray", "nni")
    print(f"{os.cpu_count()} cores {platform.machine()};", " ".join(f"{name} {version(name)}" for name in packages))
    print(f"{'backend':8} {'reference':36} {'trials':>6} {'litune':>8} {'by hand':>8} {'ratio':>6}")
    ratios = {}
    for backend in options.backends:
        for trials in options.trials:
            ours: list[float] = []
            theirs: dict[str, list[float]] = {name: [] for name in [*REFERENCES[backend], "the floor"]}
            for _ in range(options.rounds):
                ours.append(litune(backend, trials))
                for name, script in REFERENCES[backend].items():
                    theirs[name].append(by_hand(script, trials))
                theirs["the floor"].append(floor(trials))
            for name, times in theirs.items():
                ratio = min(ours) / min(times)
                print(f"{backend:8} {name:36} {trials:6} {min(ours):8.1f} {min(times):8.1f} {ratio:6.2f}", flush=True)
                if name in REFERENCES[backend]:
                    ratios[f"{backend}, {trials} trials: {name}"] = ratio
    if options.picture:
        draw(ratios, options.picture)


if __name__ == "__main__":
    main()
