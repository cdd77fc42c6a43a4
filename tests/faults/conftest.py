from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa

from litune.processes import adopt_orphans
from tests.faults import searches, tallies

BACKENDS = ["optuna", "ray", "nni"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if tallies.FULL:
        terminalreporter.section("faults")
        seeds = ", ".join(f"{one.promise} {one.backend} {one.seed}" for one in tallies.TALLIES)
        terminalreporter.write_line(f"seeds: {seeds}")
        terminalreporter.write_line("| promise | backend | tried | survived |\n|---|---|---|---|")
        for (number, backend), (tried, survived) in sorted(tallies.totals().items()):
            terminalreporter.write_line(f"| P{number} | {backend} | {tried} | {survived} |")


@pytest.fixture(scope="module")
def adopted() -> Iterator[None]:
    """Have orphans come to this process meanwhile, where left_behind() sees them."""
    adopt_orphans()
    yield
    adopt_orphans(on=False)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, ...]]:
    """Return the table of the search that nothing happened to: the same on every backend."""
    runs = tmp_path_factory.mktemp("undisturbed")
    searches.finish(searches.command(runs, *searches.TPE))
    return searches.table(runs)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    if request.param in ("ray", "nni"):
        pytest.importorskip(request.param)
    return request.param


@pytest.fixture
def empty() -> Callable[[str], None]:
    """Return what empties a PostgreSQL database."""

    def drop_all(url: str) -> None:
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            connection.execute(sa.text("drop schema public cascade"))
            connection.execute(sa.text("create schema public"))
        engine.dispose()

    return drop_all
