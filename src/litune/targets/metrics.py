"""TorchMetrics, which Lightning imports, without what it imports of SciPy for the sake of one metric of speech.

It would load scipy.signal, about a twelfth of the import's time, to give it back a name that SRMRpy,
behind its metric SRMR, was written for. SRMR needs gammatone: without that installed, nobody needs the name.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any

_SIGNAL = "scipy.signal"
_NEEDED_BY = "gammatone"


class Signal(ModuleType):
    """A stand-in for scipy.signal that has the name; whoever asks for another gets that of the module itself."""

    hamming = None

    def __getattr__(self, name: str) -> Any:
        """Import scipy.signal in its own place, and return what it has by the name."""
        if name.startswith("__") and name != "__path__":  # inspect looks at every module's file, imports at the path
            raise AttributeError(name)
        if sys.modules.get(_SIGNAL) is self:
            del sys.modules[_SIGNAL]
        return getattr(importlib.import_module(_SIGNAL), name)


def load() -> None:
    """Import TorchMetrics, if it is installed."""
    if importlib.util.find_spec("torchmetrics") is None:
        return
    stand_in = Signal(_SIGNAL)
    if _SIGNAL not in sys.modules and importlib.util.find_spec(_NEEDED_BY) is None:
        sys.modules[_SIGNAL] = stand_in
    try:
        importlib.import_module("torchmetrics")
    finally:
        if sys.modules.get(_SIGNAL) is stand_in:
            del sys.modules[_SIGNAL]
