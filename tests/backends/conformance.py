"""What every backend must do alike: one class, run by each backend's own test file, ours and third parties'."""

import math
import os
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests import in_process, preloaded
from tests.preloaded import LITUNE

HERE = Path(__file__).parent
ENDINGS = {  # how a trial ends -> its failure class
    "complete": None,
    **{name: name for name in ("error", "nan", "no_metric", "out_of_memory", "timeout", "killed")},
    "infinite": "nan",
    "exit": "error",
    "aborted": "error",
    "interrupt": "error",
    "segfault": "killed",
}


@cache
def search(backend: str, *overrides: str) -> tuple[dict, ...]:
    """Run a search of the tiny experiment to its end by the command line; return the trial table."""
    return search_in(Path(mkdtemp(prefix="litune-conformance-")), backend, *overrides)


def search_in(runs: Path, backend: str, *overrides: str) -> tuple[dict, ...]:
    """Run or continue the search of that directory, on the reference backend in this process."""
    words = [f"backend={backend}", "experiment=tiny", "name=it", "seed=7", f"search.runs={runs}", *overrides]
    if backend == "local":
        in_process.litune("search", *words)
        return tuple(in_process.trials(runs / "it"))
    paths = [str(HERE / "plugin"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = preloaded.run([*LITUNE, "search", *words], env=environment)
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-2000:]
    return tuple(in_process.trials(runs / "it"))


def meaning(table: tuple[dict, ...]) -> list[tuple]:
    """Return what must agree between backends: all but times, places and attempts."""
    kinds = [row["failure"] and row["failure"]["kind"] for row in table]
    return [
        (row["number"], row["params"], row["state"], kind, row["score"], row["history"])
        for row, kind in zip(table, kinds, strict=True)
    ]


def every_ending(backend: str) -> dict[str, dict]:
    """Return the rows of trials that end in each way, by the way."""
    words = ("search.algorithm=grid", "search.space=search_spaces/endings.json", "search.trial_timeout=4")
    return {row["params"]["model.ending"]: row for row in search(backend, *words)}


class BackendConformance:
    """Subclass it as TestNAME with `backend`."""

    backend: str

    @pytest.mark.parametrize(
        "overrides",
        [
            ("search.algorithm=random", "search.trials=8"),
            ("search.algorithm=tpe", "search.trials=18", "search.pruner=median"),
            ("search.algorithm=grid", "search.trials=20", "search.space=search_spaces/grid.json"),
            ("search.algorithm=random", "search.trials=8", "search.space=search_spaces/types.json"),
            ("search.algorithm=asha", "search.trials=5"),
            ("search.algorithm=thaw", "search.trials=5"),
        ],
        ids=["random", "tpe+median", "grid", "types", "asha", "thaw"],
    )
    def test_the_table_is_that_of_the_reference(self, overrides: tuple[str, ...]) -> None:
        assert meaning(search(self.backend, *overrides)) == meaning(search("local", *overrides))

    def test_a_score_belongs_to_its_params(self) -> None:
        for row in search(self.backend, "search.algorithm=random", "search.trials=8"):
            params = row["params"]
            value = params["model.x"] + 10 * params["model.y"] + 100 * params["model.k"]
            value += 1000 * ord(params["model.kind"]) + 0.5 * 3
            assert math.isclose(row["score"], value, abs_tol=2e-3)

    def test_pruned_trials_keep_their_curve_up_to_where_they_stopped(self) -> None:
        table = search(self.backend, "search.algorithm=tpe", "search.trials=18", "search.pruner=median")
        pruned = [row for row in table if row["state"] == "PRUNED"]
        assert pruned
        assert all(1 <= len(row["history"]) < 4 for row in pruned)

    def test_a_grid_ends_when_every_point_was_tried_once(self) -> None:
        table = search(
            self.backend, "search.algorithm=grid", "search.trials=20", "search.space=search_spaces/grid.json"
        )
        points = {tuple(sorted(row["params"].items())) for row in table}
        assert len(points) == len(table) == 8

    def test_each_ending_has_its_state_and_class(self) -> None:
        endings = every_ending(self.backend)
        found = {name: row["failure"] and row["failure"]["kind"] for name, row in endings.items()}
        assert found == ENDINGS
        assert {row["state"] for name, row in endings.items() if name != "complete"} == {"FAILED"}
        for name in ENDINGS.keys() - {"complete", "nan", "infinite", "no_metric"}:  # what it had reported is kept
            assert [step for step, _ in endings[name]["history"]] == [1], name
        assert "another" in endings["no_metric"]["failure"]["message"]
        assert "SIGKILL" in endings["killed"]["failure"]["message"]
        assert "SIGSEGV" in endings["segfault"]["failure"]["message"]
        assert "exit code 3" in endings["aborted"]["failure"]["message"]

    def test_the_same_command_goes_on_with_the_same_threads(self, tmp_path: Path) -> None:
        words = ("search.algorithm=random", "search.threads=3", "objective.metric=threads")
        first = search_in(tmp_path, self.backend, "search.trials=2", *words)
        table = search_in(tmp_path, self.backend, "search.trials=4", *words)
        assert [row["number"] for row in table] == [0, 1, 2, 3]
        assert table[:2] == first
        assert {row["score"] for row in table} == {3.0}
