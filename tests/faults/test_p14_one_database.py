"""P14: of two drivers of one search in PostgreSQL, with no directory in common, the second is refused as well."""

import socket
from pathlib import Path

from tests import preloaded
from tests.faults.searches import wait_for
from tests.faults.sessions import command, start


def test_a_driver_elsewhere_is_refused_by_the_database_that_they_share(postgresql: str, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    driver = start(here, "search.trials=100000", f"search.storage={postgresql}", output=here / "output")
    try:
        assert wait_for(lambda: "trial 0 COMPLETE" in (here / "output").read_text(), 150)
        second = preloaded.run(command(there, f"search.storage={postgresql}"))
        assert second.returncode == 2
        assert f"/postgres: it: got the driver with pid {driver.pid} on {socket.gethostname()}" in second.stderr
        assert "Traceback" not in second.stderr
    finally:
        driver.kill()
        driver.wait(timeout=60)
    third = preloaded.run(command(there, "search.trials=5", f"search.storage={postgresql}"))
    assert third.returncode == 0, third.stderr
