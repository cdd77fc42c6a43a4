"""A search listens on the loopback address only, by the kernel's own table."""

from pathlib import Path

import pytest

from tests.faults.searches import command, ended, environment, processes, start, wait_for
from tests.security.listening import is_loopback, listeners


@pytest.mark.parametrize("backend", ["optuna", "ray", "nni"])
def test_a_search_listens_on_the_loopback_address_only(backend: str, tmp_path: Path) -> None:
    if backend != "optuna":
        pytest.importorskip(backend)
    words = command(tmp_path, "search.algorithm=random", "search.trials=5000", backend=backend)
    driver = start(words, env=environment(tmp_path))
    try:
        assert wait_for(lambda: ended(tmp_path) >= 2, 120)
        found = listeners(processes(tmp_path, driver.pid))
    finally:
        driver.kill()
        driver.wait()
    assert wait_for(lambda: not processes(tmp_path, driver.pid), 10)
    assert bool(found) == (backend != "optuna")  # ours talk by sockets without a name
    assert [place for place in found if not is_loopback(place)] == []
