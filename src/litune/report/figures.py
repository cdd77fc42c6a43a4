"""`litune report --png`: the pictures of a run for a paper, Optuna's own plots of its ledger by matplotlib."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from litune.errors import InputError, MissingExtra, Problem
from litune.report.facts import Facts
from litune.report.importance import importances
from litune.study import ledger

_DPI = 200
_SIZE = (6.4, 4.2)  # inches


def write_figures(facts: Facts, directory: Path) -> list[Path]:
    """Write every picture that the run has enough trials for, and return the files."""
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtra("plots", "litune report --png")
    if not facts.board:
        raise InputError(Problem(key="--png", got=facts.name, expected="a run with a complete trial"))
    import matplotlib as mpl

    mpl.use("agg")  # no window
    import matplotlib.pyplot as plt

    try:
        directory.mkdir(parents=True, exist_ok=True)
        written = []
        for name, draw in _pictures(facts):
            with warnings.catch_warnings(), mpl.rc_context({"figure.figsize": _SIZE, "font.size": 9}):
                warnings.simplefilter("ignore")  # Optuna calls its matplotlib plots experimental
                draw()
                path = directory / f"{name}.png"
                plt.gcf().savefig(path, dpi=_DPI, bbox_inches="tight")
                plt.close("all")
            written.append(path)
    except OSError as error:
        expected = f"a directory that can be written to: {error.strerror}"
        raise InputError(Problem(key="--png", got=str(directory), expected=expected)) from None
    return written


def _pictures(facts: Facts) -> Iterator[tuple[str, Callable[[], Any]]]:
    from optuna.visualization import matplotlib as plots

    study = ledger.load_study(facts.directory, facts.config.search.storage)
    metric = facts.objective.metric
    found = importances(facts, samples=0)
    names = [one.name for one in found]
    yield "history", lambda: plots.plot_optimization_history(study, target_name=metric)
    yield "curves", lambda: _curves(study, metric)
    yield "slices", lambda: plots.plot_slice(study, target_name=metric)
    yield "timeline", lambda: plots.plot_timeline(study)
    if found:
        yield "importances", lambda: plots.plot_param_importances(study, target_name=metric)
        yield "parallel", lambda: plots.plot_parallel_coordinate(study, params=names, target_name=metric)
    if len(names) > 1:
        yield "contour", lambda: plots.plot_contour(study, params=names[:2], target_name=metric)


def _curves(study: Any, metric: str) -> None:
    from optuna.visualization import matplotlib as plots

    axes = plots.plot_intermediate_values(study)
    axes.set(title="Learning curves", xlabel="validation", ylabel=metric)
    if legend := axes.get_legend():
        legend.remove()  # a line of it for each trial
