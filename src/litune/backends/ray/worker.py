"""Ray's worker, run by its path in place of Ray's own script: it imports what an actor needs before it is asked.

Meanwhile it is not connected to the raylet, and would notice seconds late that it is gone; so the kernel ends it then.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import runpy
import sys

if __name__ == "__main__":
    del sys.path[0]  # the directory of this file
    with contextlib.suppress(ImportError):  # where litune is on the driver's path only, the actor comes to it later
        limits = importlib.import_module("litune.workers.resources")
        limits.die_with_parent(int(os.environ["RAY_RAYLET_PID"]))
        importlib.import_module("litune.backends.ray.trainable")
    runpy.run_module("ray._private.workers.default_worker", run_name="__main__", alter_sys=True)
