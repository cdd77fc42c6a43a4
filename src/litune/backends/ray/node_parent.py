"""The warm parent of one node: a process beside Ray's own that has imported everything, and forks the trials.

The driver's node has the driver's own parent. On another node an actor holds one, found by its name, so that all the
trials of this search there share it; it ends with that actor, and the actor with the search.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

from litune import unix_socket
from litune.umask import be_private


class ParentProcess:
    """A warm parent in a process of its own, that serves a listening socket as long as this object lives."""

    def __init__(self, listener: socket.socket, config: Mapping[str, Any], space: Mapping[str, Any]) -> None:
        self._control, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        inherited = (control.fileno(), listener.fileno())
        command = [sys.executable, "-m", "litune.backends.ray.node_parent", *map(str, inherited)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        environment.pop("CUDA_VISIBLE_DEVICES", None)  # Ray hides the GPUs from a process that asked for none
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command, env=environment, pass_fds=inherited, stdin=subprocess.PIPE
        )
        control.close()
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError), self._process.stdin as stdin:
            stdin.write(json.dumps({"config": config, "space": space}).encode())

    def alive(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the parent and its trials."""
        self._control.close()
        self._process.wait()


class ParentActor:
    """The actor that holds a node's parent."""

    def __init__(self, config: Mapping[str, Any], space: Mapping[str, Any]) -> None:
        self._place = tempfile.mkdtemp(prefix="litune-")
        self._listener = listen(self._place)
        self._about = (config, space)
        self._process = ParentProcess(self._listener, *self._about)

    def place(self) -> str:
        """Return the directory of the parent's socket; a parent that was killed is replaced."""
        if not self._process.alive():
            self._process = ParentProcess(self._listener, *self._about)
        return self._place


def of_node(node: str, config: Mapping[str, Any], space: Mapping[str, Any]) -> str:
    """Return the directory of the parent's socket on this Ray node; the first who asks has it started."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    there = NodeAffinitySchedulingStrategy(node, soft=False)
    actor = ray.remote(ParentActor).options(
        name=f"litune-{ray.get_runtime_context().get_job_id()}-{node}",
        get_if_exists=True,
        num_cpus=0,
        scheduling_strategy=there,
    )
    try:
        held = actor.remote(config, space)
        directory: str = ray.get(held.place.remote())
    except ray.exceptions.RayError as error:
        raise ConnectionError(str(error).splitlines()[0]) from error
    _kept[node] = held  # the name lasts as long as a handle of its first owner
    return directory


_kept: dict[str, Any] = {}


def listen(directory: str) -> socket.socket:
    """Return the socket at which a parent listens in a directory."""
    return unix_socket.listen(directory, unix_socket.PARENT)


def connect(directory: str) -> socket.socket:
    """Connect to the parent that listens in a directory; OSError where none does."""
    return unix_socket.connect(directory, unix_socket.PARENT)


def _serve(control: int, listener: int) -> None:
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.setpgid(0, 0)
    be_private()
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    about = json.loads(sys.stdin.buffer.read())
    from litune.config import config as configs
    from litune.space import space_file
    from litune.warming import warm_up
    from litune.workers.parent import Parent, warmed

    for _answer in warmed(warm_up(configs.from_plain(about["config"]), space_file.parse(about["space"]))):
        pass  # the driver has had the same ones
    parent = Parent(socket.socket(fileno=control))
    parent.listen(socket.socket(fileno=listener))
    parent.serve()


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]))
