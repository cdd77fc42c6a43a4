"""Ray, started here or joined, and left again."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

from litune.errors import InputError, Problem

# What keeps Ray quiet and in its place; a user's own setting of a variable stands.
_ENVIRONMENT = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Tune would end as if it had finished
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # nobody restores Tune's own record: the ledger is the record
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a trial that failed has no metric
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@contextlib.contextmanager
def joined(settings: Any, share: Mapping[str, float], parallel: int) -> Iterator[None]:
    """Be connected to Ray: to `settings.address`, or to a cluster of our own with room for `parallel` shares.

    A program that is connected already stays as it is.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        yield
        return
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if settings.address:
        options["address"] = settings.address
    else:
        options |= {"address": "local", "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        options["num_cpus"] = settings.num_cpus or max(1, math.ceil(parallel * share["cpu"]))
        if settings.num_gpus is not None:
            options["num_gpus"] = settings.num_gpus
    try:
        ray.init(**options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        expected = "the address of a running Ray cluster: auto, HOST:6379 or ray://HOST:10001"
        cure = str(error).splitlines()[0]
        raise InputError(
            Problem(key="backend.address", got=repr(settings.address), expected=expected, cure=cure)
        ) from error
    try:
        _preload(parallel, share)
        yield
    finally:
        ray.shutdown()


def _preload(workers: int, share: Mapping[str, float]) -> None:
    """Have that many worker processes import what a trial's client needs, before the first trial asks for them."""
    import ray

    def load() -> None:
        import litune.backends.ray.trainable  # noqa: F401 - imported for its own sake

    task = ray.remote(load).options(num_cpus=share["cpu"])
    for _ in range(workers):
        task.remote()
