"""P8: a score belongs to exactly its params, however many trials run beside each other."""

from pathlib import Path

from tests.faults.sessions import beside
from tests.faults.tallies import FULL, count, tally
from tests.in_process import trials

TRIALS = {"optuna": (40, 500), "ray": (12, 500), "nni": (12, 200)}  # small and full counts; nni starts one a second


def test_a_score_belongs_to_its_params_however_many_run_at_once(backend: str, tmp_path: Path) -> None:
    many = count(*TRIALS[backend])
    for parallel in (2, 4, 8) if FULL else (4,):
        with tally("P8", f"{backend}, {parallel} at once") as one, one.attempt(many):
            runs = tmp_path / str(parallel)
            done = beside(runs, parallel, many, backend=backend)
            assert done.returncode == 0, done.stderr
            found = trials(runs / "it")
            assert [row["number"] for row in found] == list(range(many))
            for row in found:
                params = {name.removeprefix("function."): value for name, value in row["params"].items()}
                value = params["x"] + 10 * params["k"] + 1000 * ord(params["kind"])
                assert (row["state"], row["score"]) == ("COMPLETE", value)
                assert row["history"] == [[1, value + 1], [2, value + 2]]
