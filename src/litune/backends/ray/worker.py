"""Ray's worker, run by its path in place of Ray's own script: it imports what an actor needs before it is asked.

Meanwhile it is not connected to the raylet, and would notice seconds late that it is gone; so the kernel ends it then.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import runpy
import sys
import threading

_NICENESS = 5  # of the imports alone: the warm parent, which imports torch meanwhile, is what the first trial waits for


def _import() -> None:
    """Import Tune; a thread's niceness is its own, so the actor has none."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
    with importlib.import_module("litune.garbage").collection_off():
        importlib.import_module("litune.backends.ray.trainable")


if __name__ == "__main__":
    del sys.path[0]  # the directory of this file
    with contextlib.suppress(ImportError):  # where litune is on the driver's path only, the actor comes to it later
        limits = importlib.import_module("litune.workers.resources")
        limits.die_with_parent(int(os.environ["RAY_RAYLET_PID"]))
        importing = threading.Thread(target=_import)
        importing.start()
        importing.join()
    runpy.run_module("ray._private.workers.default_worker", run_name="__main__", alter_sys=True)
