"""Hyperparameter search for PyTorch Lightning: one search, the same trial table on Optuna, Ray Tune and NNI.

import litune

result = litune.search(model=LitNet, data=MyData, space={"model.lr": litune.loguniform(1e-4, 1e-1)},
metric="val_acc", mode="max", trials=50, backend="optuna")
result.best.params, result.best.score, result.best.checkpoint, result.best.load()
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from litune.errors import InputError as InputError
    from litune.errors import LituneError as LituneError
    from litune.result import Best as Best
    from litune.result import SearchResult as SearchResult
    from litune.searching import search as search
    from litune.space.space import choice as choice
    from litune.space.space import lognormal as lognormal
    from litune.space.space import loguniform as loguniform
    from litune.space.space import normal as normal
    from litune.space.space import qlognormal as qlognormal
    from litune.space.space import qloguniform as qloguniform
    from litune.space.space import qnormal as qnormal
    from litune.space.space import quniform as quniform
    from litune.space.space import randint as randint
    from litune.space.space import uniform as uniform
    from litune.targets.functions import FunctionTrial as FunctionTrial

_RANGES = (
    "choice", "randint", "uniform", "quniform", "loguniform", "qloguniform", "normal", "qnormal", "lognormal",
    "qlognormal",
)  # fmt: skip
_HOMES = {
    "search": "litune.searching",
    "SearchResult": "litune.result",
    "Best": "litune.result",
    "FunctionTrial": "litune.targets.functions",
    **dict.fromkeys(("InputError", "LituneError"), "litune.errors"),
    **dict.fromkeys(_RANGES, "litune.space.space"),
}
__all__ = ["Best", "FunctionTrial", "InputError", "LituneError", "SearchResult", "search", *_RANGES]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: `import litune` alone takes milliseconds."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
