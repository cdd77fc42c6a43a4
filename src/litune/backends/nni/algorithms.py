"""NNI's tuners and assessors: which of them work, which way they optimise, and how a config gives one.

What is wrong with the choice of one is told here, for a search (checks.py) and for a file of nnictl's (nnictl_file.py).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

from litune.config import config as configs
from litune.errors import Problem, nearest
from litune.space.space import Space

TUNERS = ("GridSearch", "Random", "TPE", "Evolution")
ASSESSORS = ("Medianstop", "Curvefitting")
KNOWN = {"tuner": TUNERS, "assessor": ASSESSORS}
# What of NNI 3.0's other tuners is missing on a present Python, by the module that they import.
_NEEDS = {
    "Anneal": ("hyperopt", "hyperopt"), "TPE_legacy": ("hyperopt", "hyperopt"), "SMAC": ("smac", "'nni[SMAC]'"),
    "BOHB": ("ConfigSpace", "'nni[BOHB]'"), "DNGO": ("pybnn", "'nni[DNGO]'"), "PPO": ("gym", "'nni[PPO]'"),
}  # fmt: skip
_BROKEN = {
    "GP": "with numpy 2 it fails at its first suggestion", "GPTuner": "with numpy 2 it fails at its first suggestion",
    "Metis": "with numpy 2 it fails at its first suggestion", "NetworkMorphism": "with numpy 2 it fails at once",
    "Batch": "it takes one combined parameter only", "PBT": "it wants trials to hand on checkpoints by its own rules",
    "Hyperband": "it puts a parameter of its own beside the search space's",
    "RegularizedEvolutionTuner": "it is for architecture search only",
}  # fmt: skip
DIRECTIONS = {"max": "maximize", "min": "minimize"}
DIRECTED = {"tpe": "minimize", "evolution": "maximize", "medianstop": "maximize"}  # what has a direction: its default
SECTION = ("name", "classArgs")  # the keys of a tuner or assessor that is given with its arguments


def named(given: Any) -> tuple[str, dict[str, Any]]:
    """Return name and arguments of a tuner or assessor given as its name, or as {name: ..., classArgs: {...}}."""
    if isinstance(given, str):
        return given, {}
    plain = configs.plain(given)
    return str(plain.get("name")), dict(plain.get("classArgs") or {})


def unusable(kind: str, key: str, name: str) -> Iterator[Problem]:
    """Yield that there is no such `tuner` or `assessor`, or that it does not work here."""
    known = KNOWN[kind]
    by_case = {other.lower(): other for other in (*known, *_NEEDS, *_BROKEN)}
    proper = by_case.get(name.lower(), name)
    expected = f"one of {', '.join(known)}"
    if proper in _NEEDS and kind == "tuner":
        module, package = _NEEDS[proper]
        if importlib.util.find_spec(module) is None:
            cure = f"NNI 3.0 needs {module} for it: pip install {package} (where that still installs)"
            yield Problem(key=key, got=repr(name), expected=expected, cure=cure)
    elif proper in _BROKEN and kind == "tuner":
        yield Problem(key=key, got=f"{name!r} ({_BROKEN[proper]})", expected=expected)
    elif proper not in known:
        yield Problem(key=key, got=repr(name), expected=expected, nearest=nearest(name, known))


def endless_grid(key: str, name: str, space: Space) -> Iterator[Problem]:
    """Yield that GridSearch would never come to the end of a continuous range."""
    if name.lower() == "gridsearch" and (ranges := space.continuous()):
        got = f"GridSearch over the continuous {', '.join(ranges)}, which it would divide for ever"
        cure = "Random, TPE and Evolution take ranges; litune's own search.algorithm=tpe too"
        yield Problem(key=key, got=got, expected="choice, randint or quantised parameters only", cure=cure)


def wrong_direction(key: str, name: str, direction: str | None, mode: str) -> Iterator[Problem]:
    """Yield that the algorithm would go the other way than the objective."""
    wanted = DIRECTIONS[mode]
    if name.lower() in DIRECTED and direction != wanted:
        got = f"{name}, which would {direction}, for objective.mode={mode}"
        yield Problem(key=key, got=got, expected=f"classArgs: {{optimize_mode: {wanted}}}")
    if name.lower() == "curvefitting" and mode == "min":
        yield Problem(key=key, got="Curvefitting, which takes larger for better", expected="Medianstop")
