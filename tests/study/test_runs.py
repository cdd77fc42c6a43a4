"""What makes two searches one: the identity of a run; and runs whose directory is not as it was."""

import copy
import sqlite3
from pathlib import Path

import pytest
from omegaconf import DictConfig

from litune import checks, unix_socket
from litune.config import config as configs
from litune.config.compose import compose
from litune.dashboards import pages
from litune.errors import LedgerDamaged, StudyChanged
from litune.space.space import Space, uniform
from litune.study import identity, opening, runs
from litune.study.ledger import storage_url
from litune.table import TrialRow
from litune.training import checkpoints
from litune.trial import TrialState
from tests.conftest import Project


def searched(runs_directory: Path, *words: str) -> tuple[DictConfig, Space]:
    config = compose(["experiment=digits_mlp", f'search.runs="{runs_directory}"', *words]).config
    return config, checks.load_space(config)


def test_a_socket_that_a_killed_driver_has_left_is_removed_when_the_run_is_continued(tmp_path: Path) -> None:
    socket = begun(tmp_path) / unix_socket.PARENT
    unix_socket.listen(str(socket.parent), socket.name).close()
    assert socket.is_socket()
    with opening.opened(*searched(tmp_path, "name=old")):
        pass
    assert not socket.exists()


def begun(runs_directory: Path) -> Path:
    """Return a run whose first trial was started."""
    with opening.opened(*searched(runs_directory, "name=old")) as study:
        job = study.ask()
        assert job is not None
        Path(job.directory).mkdir()
    return runs_directory / "old"


@pytest.mark.parametrize(
    ("backend", "own"),
    [
        ("ray", "backend.searcher=native"),
        ("ray", "backend.scheduler={name: asha, grace_period: 2}"),
        ("nni", "backend.tuner=TPE"),
    ],
)
def test_a_backends_own_searcher_is_part_of_the_run(backend: str, own: str, tmp_path: Path) -> None:
    words = ["experiment=digits_mlp", f"search.runs={tmp_path}"]
    plain, other = (compose([*words, f"backend={backend}", *more]).config for more in ([], [own]))
    space = checks.load_space(plain)
    local = compose([*words, "backend=local"]).config
    assert identity.run_name(plain, space) == identity.run_name(local, space)
    assert identity.run_name(plain, space) != identity.run_name(other, space)
    named = [compose([*words, "name=it", f"backend={backend}", *more]).config for more in ([], [own])]
    with opening.opened(named[0], space):
        pass
    with pytest.raises(StudyChanged, match=own.partition("=")[0]), opening.opened(named[1], space):
        pass


def test_a_field_that_the_run_was_made_without_counts_as_being_at_its_default(tmp_path: Path) -> None:
    config, space = searched(tmp_path)
    asked = identity.about(config, space, identity.terms_of(config, "tpe", space, ()), "")
    made = copy.deepcopy(asked)
    del made["config"]["trainer"]["compile"], made["config"]["objective"]["last_k"]
    assert identity.same_search(made, asked, config, tmp_path).seed == config.seed
    other, _ = searched(tmp_path, "trainer.compile=true")
    asked = identity.about(other, space, identity.terms_of(other, "tpe", space, ()), "")
    with pytest.raises(StudyChanged, match=r"trainer\.compile: got True; expected False"):
        identity.same_search(made, asked, other, tmp_path)


@pytest.mark.parametrize(
    ("made", "continued", "lag"),
    [
        (["search.lag=4", "search.parallel=2"], ["search.lag=4", "search.parallel=6"], 4),
        (["search.lag=4", "search.parallel=6"], ["search.lag=4", "search.parallel=2"], 6),
        (["search.lag=4", "search.parallel=6"], ["search.lag=6", "search.parallel=2"], 6),
        (["search.parallel=6"], ["search.parallel=2"], 6),
        (["search.parallel=6"], ["search.lag=5", "search.parallel=2"], None),
        (["search.algorithm=thaw", "search.parallel=1"], ["search.algorithm=thaw", "search.parallel=2"], 1),
        (["search.algorithm=thaw", "search.parallel=2"], ["search.algorithm=thaw", "search.lag=2"], 2),
    ],
)
def test_a_run_keeps_its_lag_whatever_search_parallel_is_later(
    made: list[str], continued: list[str], lag: int | None, tmp_path: Path
) -> None:
    about = ["name=it", "search.threads=1"]
    with opening.opened(*searched(tmp_path, *about, *made)):
        pass
    if lag is None:
        refused = pytest.raises(StudyChanged, match=r"search\.lag: got 5; expected 6")
        with refused, opening.opened(*searched(tmp_path, *about, *continued)):
            pass
    else:
        with opening.opened(*searched(tmp_path, *about, *continued)) as study:
            assert study.terms.lag == lag


@pytest.mark.parametrize(
    ("words", "lags"),
    [
        ("search.parallel=1", (4, 4, 1)),
        ("search.parallel=2", (4, 4, 2)),
        ("search.parallel=4", (4, 4, 4)),
        ("search.parallel=5", (5, 20, 20)),
        ("search.parallel=1 search.lag=4", (4, 4, 4)),
        ("search.parallel=4 search.lag=1", (4, 4, 4)),
        ("search.parallel=8 search.lag=9", (9, 9, 9)),
    ],
)
def test_the_lag_is_enough_for_search_parallel_and_that_of_thaw_no_more_by_default(
    words: str, lags: tuple[int, int, int], tmp_path: Path
) -> None:
    for algorithm, lag in zip(("tpe", "asha", "thaw"), lags, strict=True):
        about = [f"name={algorithm}", f"search.algorithm={algorithm}", *words.split()]
        with opening.opened(*searched(tmp_path, *about)) as study:
            assert study.terms.lag == lag


def test_a_run_by_thaw_that_was_begun_with_another_lag_keeps_it_and_is_not_continued_with_a_third(
    tmp_path: Path,
) -> None:
    config, space = searched(tmp_path, "search.algorithm=thaw", "search.parallel=1")
    asked = identity.about(config, space, identity.terms_of(config, "thaw", space, ()), "")
    made = copy.deepcopy(asked)
    made["terms"]["lag"] = 4  # as it was for any number of workers up to four
    assert identity.same_search(made, asked, config, tmp_path).lag == 4
    other, _ = searched(tmp_path, "search.algorithm=thaw", "search.lag=3")
    asked = identity.about(other, space, identity.terms_of(other, "thaw", space, ()), "")
    with pytest.raises(StudyChanged, match=r"search\.lag: got 3; expected 4"):
        identity.same_search(made, asked, other, tmp_path)


@pytest.mark.parametrize("continued", [["search.parallel=2"], ["search.lag=256", "search.parallel=2"]])
def test_a_run_in_legs_keeps_the_longer_lag_of_first_legs_too(continued: list[str], tmp_path: Path) -> None:
    about = ["name=it", "search.threads=1", "search.algorithm=asha"]
    for words in (["search.parallel=64"], continued):
        with opening.opened(*searched(tmp_path, *about, *words)) as study:
            assert (study.terms.lag, study.terms.first_lag) == (256, 512)
    refused = pytest.raises(StudyChanged, match=r"search\.lag: got 5; expected 256")
    with refused as told, opening.opened(*searched(tmp_path, *about, "search.lag=5", "search.parallel=2")):
        pass
    assert "first_lag" not in str(told.value)


@pytest.mark.parametrize(
    ("algorithm", "parallel", "started"),
    [("asha", 1, 4), ("asha", 24, 96), ("asha", 25, 125), ("thaw", 1, 1), ("thaw", 2, 2), ("thaw", 4, 4)],
)
def test_so_many_first_legs_may_be_out_before_one_of_them_must_have_ended(
    algorithm: str, parallel: int, started: int, tmp_path: Path
) -> None:
    words = [f"search.algorithm={algorithm}", "search.trials=100", f"search.parallel={parallel}"]
    with opening.opened(*searched(tmp_path, *words)) as study:
        jobs = 0
        while study.ask() is not None:
            jobs += 1
    assert jobs == started


def test_a_run_in_legs_that_was_made_without_a_lag_of_first_legs_goes_on_without(tmp_path: Path) -> None:
    config, space = searched(tmp_path, "search.algorithm=asha", "search.parallel=64")
    asked = identity.about(config, space, identity.terms_of(config, "asha", space, ()), "")
    made = copy.deepcopy(asked)
    assert made["terms"].pop("first_lag") == 512
    terms = identity.same_search(made, asked, config, tmp_path)
    assert (terms.lag, terms.first_lag) == (256, None)


@pytest.mark.parametrize("words", ["search.parallel=16", "search.parallel=64 search.lag=64", "search.parallel=64"])
def test_first_legs_have_a_lag_of_their_own_only_where_many_workers_raise_it(words: str, tmp_path: Path) -> None:
    for algorithm in ("asha", "tpe"):
        config, space = searched(tmp_path, *words.split())
        terms = identity.terms_of(config, algorithm, space, ())
        assert terms.first_lag == (512 if (words, algorithm) == ("search.parallel=64", "asha") else None)


def test_a_run_says_how_far_it_went_at_most(tmp_path: Path) -> None:
    said = []
    for trials, seconds in ((3, 5.0), (3, 9.0), (3, 7.0), (3, None), (2, 9.0)):
        words = [f"search.trials={trials}", f"search.budget.seconds={'null' if seconds is None else seconds}"]
        with opening.opened(*searched(tmp_path, "name=it", "search.algorithm=random", *words)):
            config, _, _ = runs.read(tmp_path / "it")
            said.append((config.search.trials, config.search.budget.seconds))
    assert said == [(3, 5.0), (3, 9.0), (3, 9.0), (3, None), (3, None)]


def test_a_default_written_out_gives_a_run_no_other_name(tmp_path: Path) -> None:
    names = [identity.run_name(*searched(tmp_path, *words)) for words in ([], ["trainer.compile=false"], ["seed=43"])]
    assert names[0] == names[1] != names[2]


CHANGES = [
    [],
    ["seed=1"],
    ["model.hidden=8"],
    ["data.batch_size=32"],
    ["optimizer.lr=0.5"],
    ["criterion={_target_: torch.nn.MultiMarginLoss}"],
    ["lr_scheduler={_target_: torch.optim.lr_scheduler.ConstantLR}"],
    ["trainer.max_epochs=3"],
    ["objective.reduce=last"],
    ["callbacks.timer._target_=pytorch_lightning.callbacks.Timer"],
    ["search.algorithm=random"],
    ["search.pruner=median"],
    ["search.seed_per_trial=true"],
    ["search.lag=9"],
    ["search.threads=7"],
    ["search.enqueue=[config]"],
    ["search.warm_start=[A]"],
    ["search.warm_start=[B]"],
    ["backend=nni", "backend.assessor=Medianstop"],
    ["backend=ray", "backend.mutate=[optimizer.lr]"],
]


def test_whatever_a_trial_depends_on_gives_a_run_another_name(tmp_path: Path) -> None:
    space = checks.load_space(compose(["experiment=digits_mlp"]).config)
    composed = [compose(["experiment=digits_mlp", f"search.runs={tmp_path}", *words]) for words in CHANGES]
    assert not any(one.problems for one in composed)
    names = [identity.run_name(one.config, space) for one in composed]
    names.append(identity.run_name(composed[0].config, Space.of({"optimizer.lr": uniform(0, 1)})))
    assert len(set(names)) == len(names)


def test_a_run_that_was_renamed_says_what_it_was_called(tmp_path: Path) -> None:
    new = begun(tmp_path).rename(tmp_path / "new")
    with pytest.raises(LedgerDamaged, match="no search 'new' in it; the one in it is 'old'"):
        runs.read(new)
    with pytest.raises(LedgerDamaged, match="rename it back"), opening.opened(*searched(tmp_path, "name=new")):
        pass
    new.rename(tmp_path / "old")
    assert len(runs.read(tmp_path / "old")[2].rows) == 1


def test_a_run_that_was_moved_is_read_and_continued(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    moved = begun(tmp_path).rename(tmp_path / "there" / "old")
    with opening.opened(*searched(tmp_path / "there", "name=old")) as study:
        job = study.ask()
        assert job is not None
        assert (job.number, job.attempt, Path(job.directory).parents[1]) == (0, 1, moved)


def test_a_ledger_that_was_emptied_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    run = begun(tmp_path)
    for file in run.glob("ledger.db*"):
        file.unlink()
    (run / "ledger.db").touch()
    with pytest.raises(LedgerDamaged, match="emptied"), opening.opened(*searched(tmp_path, "name=old")):
        pass
    with sqlite3.connect(run / "ledger.db") as ledger:
        assert ledger.execute("select count(*) from studies").fetchone() == (0,)


def test_a_ledger_beside_the_run_is_found_from_another_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    for directory in (here, elsewhere):
        (directory / "shared").mkdir(parents=True)
    monkeypatch.chdir(here)
    config, space = searched(Path("runs"), "name=it", "search.storage=sqlite:///shared/all.db")
    for _ in range(2):  # made, and continued
        with opening.opened(config, space) as study:
            assert study.ask()
            kept = configs.from_plain(study.config).search.storage
            assert kept == f"sqlite:///{here}/shared/all.db"  # as best.yaml and the trials' own files have it
    monkeypatch.chdir(elsewhere)
    assert len(runs.read(here / "runs/it")[2].rows) == 1
    (here / "shared").rename(here / "away")
    with pytest.raises(LedgerDamaged, match=r"here/shared/all\.db: there is no such file; bring it back, or say where"):
        runs.read(here / "runs/it")
    assert list((elsewhere / "shared").iterdir()) == []


def test_a_run_of_before_whose_ledger_has_a_relative_path_makes_none_elsewhere(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opening.opened(*searched(project.root / "runs", "name=it", f"search.storage=sqlite:///{project.root}/all.db")):
        pass
    file = project.root / "runs/it/config.yaml"
    file.write_text(file.read_text().replace(f"{project.root}/all.db", "all.db"))
    elsewhere = project.root / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    project.assert_refused(
        project.litune("trials", str(file.parent)), "all.db: there is no such file", "search.storage"
    )


@pytest.mark.parametrize("directory", ["a#b", "a?b", "a%20b", "a{b}", "ä b"])
def test_a_run_may_lie_in_a_directory_of_any_name(project: Project, directory: str) -> None:
    run = begun(project.root / directory)
    assert project.litune("doctor", "--fix", str(run))[0] == 0
    assert project.litune("doctor", str(run)) == (0, "old: all is well\n", "")
    with pages.optuna_page(storage_url(run, None), "old", write=False, host="127.0.0.1", port=0) as page:
        assert "/dashboard/studies/1?" in page.url
    assert {path.name for path in project.root.iterdir()} == {"my_net.py", "experiments", "search_spaces", directory}


@pytest.mark.parametrize("above", ["/elsewhere", "/elsewhere/checkpoints"])
@pytest.mark.parametrize("name", ["epoch=1.ckpt", "checkpoints/epoch=1.ckpt"])  # the latter of a callback called so
def test_a_checkpoint_is_found_where_its_run_was_moved_to(above: str, name: str, tmp_path: Path) -> None:
    recorded = f"{above}/run/trials/0003/checkpoints/{name}"
    row = TrialRow(number=3, state=TrialState.COMPLETE, params={}, seed=1, checkpoint=recorded)
    assert checkpoints.of_trial(tmp_path, row) is None
    file = tmp_path / "trials/0003/checkpoints" / name
    file.parent.mkdir(parents=True)
    file.touch()
    assert checkpoints.of_trial(tmp_path, row) == file
