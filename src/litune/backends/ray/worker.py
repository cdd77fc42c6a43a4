"""Ray's worker, run by its path in place of Ray's own script: it imports what an actor needs before it is asked."""

from __future__ import annotations

import contextlib
import importlib
import runpy
import sys

if __name__ == "__main__":
    del sys.path[0]  # the directory of this file
    with contextlib.suppress(ImportError):  # where litune is on the driver's path only, the actor comes to it later
        importlib.import_module("litune.backends.ray.trainable")
    runpy.run_module("ray._private.workers.default_worker", run_name="__main__", alter_sys=True)
