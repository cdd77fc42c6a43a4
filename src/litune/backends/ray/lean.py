"""Ray's cluster of one machine as a search needs it: gcs_server, raylet, and workers that wait for the trials' actors.

Ray starts five Python processes beside those: for its dashboard, its autoscaler, its logs, its metrics and for runtime
environments. Each imports for a second, while the warm parent imports torch, and no option of ray.init leaves one out;
so its class of a node, which is private, is derived from here, for the Ray that this was written for. Any other starts
as ever.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

from litune.backends.ray import worker
from litune.patches import replaced

_KNOWN = "2.60."  # of Ray's versions, the one whose private parts are those named here
_AGENTS = ("--dashboard_agent_command=", "--runtime_env_agent_command=")
WORKERS = {  # Ray's settings for those that wait
    "idle_worker_killing_time_threshold_ms": 600_000,  # by itself Ray ends it after a second, and starts another
    "worker_register_timeout_seconds": 600,  # they import first; where Ray ends one before, its driver waits for ever
    "worker_niceness": 0,  # what an actor does is brief, and the trials, which are not niced, wait for it
}
_IDLE = "cat"  # in place of an agent, as the raylet wants one: it ends when the raylet's end of its input is closed
_NO_PORT, _SOME_PORT = -1, 1  # what Ray's own agent notes for a service that is not there; what it takes for any port


def known() -> bool:
    """Say whether this Ray is the one that nodes() was written for."""
    import ray

    return str(ray.__version__).startswith(_KNOWN)


@contextlib.contextmanager
def nodes() -> Iterator[None]:
    """Have ray.init() start those two processes alone, and Tune's actors in workers that are there already."""
    from ray._private import node, services
    from ray.tune.execution import class_cache as actors

    raylet: Any = importlib.import_module("ray._raylet")  # which has no types
    ports = {
        raylet.METRICS_AGENT_PORT_NAME: _NO_PORT,
        raylet.METRICS_EXPORT_PORT_NAME: _NO_PORT,
        raylet.DASHBOARD_AGENT_LISTEN_PORT_NAME: _NO_PORT,
        raylet.RUNTIME_ENV_AGENT_PORT_NAME: _SOME_PORT,
    }
    lean = replaced(node, Node=_lean(node.Node, services, raylet.persist_port, ports))
    # an environment of its own for each actor would take the agent; the workers have this process's variables
    bare = replaced(actors, DEFAULT_ENV_VARS={}, ENV_VARS_TO_PROPAGATE=frozenset())
    with lean, bare:
        yield


def _lean(whole: Any, services: Any, note_port: Any, ports: dict[str, int]) -> Any:
    """Return Ray's class of a node without those processes."""
    start = services.start_ray_process

    def without_agents(command: list[str], *arguments: Any, **options: Any) -> Any:
        return start([_idling(word) for word in command], *arguments, **options)

    class Node(whole):  # type: ignore[misc]  # Ray has no types
        def start_monitor(self) -> None:
            """Start no autoscaler."""

        def start_log_monitor(self) -> None:
            """Start no forwarding of logs."""

        def start_api_server(self, **_options: Any) -> None:
            """Start no dashboard."""

        def start_raylet(self, *arguments: Any, **options: Any) -> None:
            """Start the raylet without its agents, and with workers that are ready for a trial."""
            for name, port in ports.items():
                note_port(self._session_dir, self._node_id, name, port)
            self._ray_params.worker_path = worker.__file__
            with replaced(services, start_ray_process=without_agents):
                super().start_raylet(*arguments, **options)

    return Node


def _idling(word: str) -> str:
    return next((option + _IDLE for option in _AGENTS if word.startswith(option)), word)
