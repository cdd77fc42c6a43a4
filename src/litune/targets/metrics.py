"""TorchMetrics, which Lightning imports, without what it imports of SciPy for the sake of one metric of speech.

It would load scipy.signal, about a twelfth of what a search waits for at its start, to give it back a name that SRMRpy,
behind its metric SRMR, was written for. SRMR needs gammatone: without that installed, nobody needs the name.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType

_SIGNAL = "scipy.signal"
_NEEDED_BY = "gammatone"


def load() -> None:
    """Import TorchMetrics, if it is installed, with a stand-in for scipy.signal that is gone afterwards."""
    if importlib.util.find_spec("torchmetrics") is None:
        return
    spared = _SIGNAL not in sys.modules and importlib.util.find_spec(_NEEDED_BY) is None
    if spared:
        stand_in = ModuleType(_SIGNAL)
        vars(stand_in)["hamming"] = None  # the name that TorchMetrics looks for
        sys.modules[_SIGNAL] = stand_in
    try:
        importlib.import_module("torchmetrics")
    finally:
        if spared:
            del sys.modules[_SIGNAL]
