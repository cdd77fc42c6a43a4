"""Regret over epochs, as a picture: the median over tasks and seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.report import CHECKPOINTS, SETS, Scale, by_arm

SHOWN = {
    "litune auto (thaw)": "#4477aa",
    "promotion + TPE": "#66ccee",
    "one-epoch-then-top-k": "#ccbb44",
    "TPE + Hyperband pruner": "#aa3377",
    "random + stopping ASHA": "#228833",
    "Optuna 5 default": "#ee6677",
    "random": "#999999",
}
LEAST = 1e-2  # of the regret, so that it can be drawn in logs


def draw(rows: list[dict[str, Any]], file: Path) -> None:
    """Draw one panel for LCBench and one for TaskSet."""
    from matplotlib.figure import Figure

    table = by_arm(rows)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    at = np.geomspace(0.1, CHECKPOINTS[-1], 120)  # full trainings
    for axes, name in zip(panels, ("LCBench", "TaskSet"), strict=True):
        scale = Scale.of(table, SETS[name])
        for arm, colour in SHOWN.items():
            runs = [row for task in scale.tasks for row in table.get(arm, {}).get(task, {}).values()]
            if runs:
                curves = np.array([[scale.regret(row, trainings) for trainings in at] for row in runs])
                line = np.maximum(np.median(curves, axis=0), LEAST)
                width = 2.5 if arm.startswith("litune") else 1.2
                axes.step(at, line, where="post", color=colour, linewidth=width, label=arm)
        axes.set(xscale="log", yscale="log", xlabel="epochs spent, as full trainings", title=name)
        axes.set_xticks([0.1, 0.3, 1, 3, 10, 20], ["0.1", "0.3", "1", "3", "10", "20"], minor=False)
        axes.minorticks_off()
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("median regret\n(random's after 20 trainings = 1)")
    panels[1].legend(frameon=False, fontsize=7.5, loc="lower left")
    figure.savefig(file, dpi=150)
