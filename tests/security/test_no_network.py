"""Searches need no network: they run where there is nothing but the loopback address."""

import importlib.util
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.searches import command, ended, finish

WITH_LOOPBACK_UP = """
import fcntl, os, socket, struct, sys
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
    fcntl.ioctl(one, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
os.execv(sys.argv[1], sys.argv[1:])
"""
CUT_OFF = ["unshare", "-n", sys.executable, "-c", WITH_LOOPBACK_UP]


@pytest.mark.slow
def test_every_backend_searches_with_the_network_cut_off(tmp_path: Path) -> None:
    try:
        subprocess.run([*CUT_OFF, "/bin/true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"this user may not cut off the network: {error}")
    backends = ["optuna", *(name for name in ("ray", "nni") if importlib.util.find_spec(name))]
    with ThreadPoolExecutor() as threads:
        list(threads.map(lambda backend: search(tmp_path / backend, backend), backends))


def search(runs: Path, backend: str) -> None:
    finish([*CUT_OFF, *command(runs, "search.algorithm=random", "search.trials=4", backend=backend)])
    assert ended(runs) == 4
