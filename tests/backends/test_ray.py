"""The conformance suite through Ray Tune, and what is Ray's own: its searchers and schedulers, clusters and kills."""

import contextlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conformance import BackendConformance, meaning, search

from litune import cli
from litune.config.compose import compose
from tests import preloaded
from tests.in_process import trials
from tests.preloaded import LITUNE, PROJECT

pytest.importorskip("ray")

pytestmark = pytest.mark.slow  # a cluster is started for every search


class TestRay(BackendConformance):
    backend = "ray"


WORDS = ("backend=ray", "experiment=tiny", "name=it", "seed=7")


def command(runs: Path, *overrides: str) -> list[str]:
    return [*LITUNE, "search", *WORDS, f"search.runs={runs}", *overrides]


def run(runs: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    return preloaded.run(command(runs, *overrides))


def start(runs: Path, *overrides: str, start_new_session: bool = False) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(runs, *overrides), cwd=PROJECT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=start_new_session,
    )  # fmt: skip


def table_of(runs: Path) -> tuple[dict, ...]:
    return tuple(trials(runs / "it"))


def ray_of(driver: int) -> list[int]:
    """Return the processes of a Ray session that this driver started."""
    from litune.backends.ray import watch

    return watch.processes(driver)


def assert_nothing_left_of(driver: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 10
    while ray_of(driver.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert ray_of(driver.pid) == []


def wait_for_line(process: subprocess.Popen[str], word: str) -> str:
    seen = []
    for line in process.stdout:
        seen.append(line)
        if word in line:
            return line
    raise AssertionError("".join(seen)[-3000:])


class TestOneCommand:
    def test_it_is_quiet_and_leaves_nothing_behind(self, tmp_path):
        process = start(tmp_path, "search.algorithm=random", "search.trials=4")
        said = process.communicate()[0]
        assert process.returncode == 0, said
        assert "ray" not in said.lower().replace("backend=ray", "")
        assert sum(line.startswith("trial ") for line in said.splitlines()) == 4
        assert ray_of(process.pid) == []

    def test_ray_starts_no_python_process_beside_the_actors(self, tmp_path):
        process = start(tmp_path, "search.algorithm=random", "search.trials=4")
        wait_for_line(process, "trial 0 ")
        theirs = [_command(one) for one in ray_of(process.pid) if one != process.pid]
        process.communicate()
        workers = (b"worker.py", b"ray::IDLE", b"ray::ImplicitFunc")  # starting, waiting for an actor, being one
        named = (b"gcs_server", b"raylet", b"cat\0", *workers)
        assert [command for command in theirs if command and not any(name in command for name in named)] == []

    def test_workers_that_start_slower_than_ray_waits_for_by_itself_hold_nothing_up(self, tmp_path, monkeypatch):
        monkeypatch.setenv("RAY_worker_register_timeout_seconds", "1")  # in place of 60 on a machine that is busy
        process = start(tmp_path, "search.algorithm=random", "search.trials=2")
        try:
            said = process.communicate(timeout=150)[0]
        finally:
            process.kill()
        assert process.returncode == 0, said

    def test_ctrl_c_interrupts_and_the_same_command_continues(self, tmp_path):
        process = start(tmp_path, "search.algorithm=random", "search.trials=8")
        wait_for_line(process, "trial 0 ")
        process.send_signal(signal.SIGINT)
        said = process.communicate()[0]
        assert process.returncode == 130
        assert "continue with" in said
        assert_nothing_left_of(process)
        done = run(tmp_path, "search.algorithm=random", "search.trials=8")
        assert done.returncode == 0, done.stderr
        reference = search("local", "search.algorithm=random", "search.trials=8")
        assert meaning(table_of(tmp_path)) == meaning(reference)

    def test_a_killed_driver_leaves_no_process_and_the_same_command_continues(self, tmp_path):
        process = start(tmp_path, "search.algorithm=random", "search.trials=8")
        wait_for_line(process, "trial 1 ")
        with process:
            process.kill()
        assert_nothing_left_of(process)
        done = run(tmp_path, "search.algorithm=random", "search.trials=8")
        assert done.returncode == 0, done.stderr
        reference = search("local", "search.algorithm=random", "search.trials=8")
        assert meaning(table_of(tmp_path)) == meaning(reference)

    @pytest.mark.parametrize("victim", ["warm parent", "actor"])
    def test_a_killed_helper_loses_nothing(self, tmp_path, victim):
        process = start(tmp_path, "search.algorithm=random", "search.trials=8", "trainer.max_epochs=4")
        wait_for_line(process, "trial 0 ")
        children = _children(process.pid)
        mine = [child for child in children if child not in ray_of(process.pid)]
        parent = next(child for child in mine if b"watch.py" not in _command(child))
        actors = [child for child in ray_of(process.pid) if b"ImplicitFunc" in _command(child)]
        with contextlib.suppress(ProcessLookupError):
            os.kill(parent if victim == "warm parent" else actors[0], signal.SIGKILL)
        said = process.communicate()[0]
        assert process.returncode == 0, said
        reference = search("local", "search.algorithm=random", "search.trials=8")
        assert meaning(table_of(tmp_path)) == meaning(reference)

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
    @pytest.mark.parametrize("wait", [0, 0.3, 0.6])  # seconds, in some of which Ray's driver connects
    def test_a_signal_to_the_group_while_ray_is_joined_ends_the_search_in_order(self, tmp_path, number, wait):
        process = start(tmp_path, "search.algorithm=random", "search.trials=8", start_new_session=True)
        while not any(b"raylet" in _command(one).split(b"\0")[0] for one in ray_of(process.pid)):
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.01)
        time.sleep(wait)
        os.killpg(process.pid, number)
        said = process.communicate()[0]
        assert process.returncode == 130, said
        assert said.startswith("interrupted; continue with: "), said
        assert_nothing_left_of(process)

    @pytest.mark.parametrize("victim", ["gcs_server", "raylet"])
    def test_a_killed_head_ends_the_search_at_once_and_the_same_command_continues(self, tmp_path, victim):
        process = start(tmp_path, "search.algorithm=random", "search.trials=8")
        wait_for_line(process, "trial 1 ")
        head = next(one for one in ray_of(process.pid) if _command(one).split(b"\0")[0].endswith(victim.encode()))
        os.kill(head, signal.SIGKILL)
        said = process.communicate()[0]
        assert process.returncode == 1, said
        assert f"Ray's {victim} ended before the search was done; the same command continues it" in said
        assert_nothing_left_of(process)
        done = run(tmp_path, "search.algorithm=random", "search.trials=8")
        assert done.returncode == 0, done.stderr
        assert meaning(table_of(tmp_path)) == meaning(search("local", "search.algorithm=random", "search.trials=8"))


TWICE = """\
import sys

import litune
from ray.tune.execution import tune_controller

read = tune_controller._get_max_pending_trials


def told(search):
    found = read(search)
    print("pending", found)
    return found


def train(params, trial):
    return params["x"]


if __name__ == "__main__":
    tune_controller._get_max_pending_trials = told
    for parallel in (1, 2):
        options = {"trials": 2, "algorithm": "random", "name": str(parallel), "runs": sys.argv[1]}
        litune.search(train, space={"x": [1, 2, 3]}, backend="ray", parallel=parallel, **options)
"""


@pytest.mark.parametrize(("own", "told"), [(None, ["1", "2"]), ("7", ["7"])])
def test_each_search_of_a_process_has_its_own_trials_at_once_unless_the_user_says_how_many(tmp_path, own, told):
    (tmp_path / "twice.py").write_text(TWICE)
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"} | ({"TUNE_MAX_PENDING_TRIALS_PG": own} if own else {})
    command = [sys.executable, "twice.py", str(tmp_path / "runs")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("pending ")]
    assert list(dict.fromkeys(found)) == told  # Ray reads it more than once


def _children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(entry.name))
    return found


def _command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


class TestNative:
    def test_a_searcher_of_rays_draws_every_type_and_gives_it_back_exactly(self, tmp_path):
        overrides = ("backend.searcher=native", "search.trials=6", "search.space=search_spaces/types.json")
        done = run(tmp_path, *overrides, "search.parallel=5")
        assert done.returncode == 0, done.stderr
        assert "search.lag" not in done.stdout  # by which no trial of a searcher's waits
        from litune.study import runs

        _, space, ledger = runs.read(tmp_path / "it")
        assert len(ledger.rows) == 6
        for row in ledger.rows.values():
            assert space.misfits(row.params) == []
            assert row.params["model.k"] in (2, 3, 6, 9)

    def test_a_searcher_of_rays_searches_nested_choices_and_goes_on_with_what_it_was_told(self, tmp_path):
        adam = {"_name": "torch.optim.Adam", "lr": {"_type": "loguniform", "_value": [0.001, 0.1]}}
        sgd = {"_name": "torch.optim.SGD", "momentum": {"_type": "uniform", "_value": [0, 0.9]}}
        nested = {"optimizer": {"_type": "choice", "_value": [adam, sgd]}}
        nested["model.x"] = {"_type": "uniform", "_value": [0, 1]}
        (tmp_path / "space.json").write_text(json.dumps(nested))
        overrides = ("backend.searcher=native", f"search.space={tmp_path}/space.json")
        for most in (4, 8):
            done = run(tmp_path, *overrides, f"search.trials={most}")
            assert done.returncode == 0, done.stderr
            assert "starts anew" not in done.stdout
        from litune.study import runs

        _, space, ledger = runs.read(tmp_path / "it")
        assert len(ledger.rows) == 8
        assert all(row.state.value == "COMPLETE" and not space.misfits(row.params) for row in ledger.rows.values())
        assert len({row.params["optimizer._name"] for row in ledger.rows.values()}) == 2

    def test_an_option_whose_name_rays_searchers_would_split_is_searched(self, tmp_path, monkeypatch):
        from litune.backends.ray import native
        from litune.config import compose
        from litune.space.space_file import parse
        from litune.study import opening
        from litune.trial import Outcome, TrialState

        monkeypatch.chdir(PROJECT)
        words = (*WORDS, f"search.runs={tmp_path}", "backend.searcher=native", "search.trials=4")
        config = compose.compose(words).config
        wide = {"_name": "a/b", "w": {"_type": "uniform", "_value": [0, 1]}}
        space = parse({"model.kind": {"_type": "choice", "_value": [wide, {"_name": "~1"}]}})
        with opening.opened(config, space) as study:
            for number in range(4):  # each searcher is told of the trials before
                suggest = native.Suggest(native.searcher(config, space), study, None)
                job = suggest(str(number))
                assert space.misfits(job.params) == []
                study.tell(number, Outcome(state=TrialState.COMPLETE, score=1.0, history={1: 1.0}))

    @pytest.mark.parametrize(
        ("overrides", "steps"),
        [
            (["backend.scheduler=asha"], 4),
            (["backend.scheduler={name: asha, max_t: 9}", "trainer.val_check_interval=0.5"], 8),
        ],
    )
    def test_a_trial_that_rays_scheduler_stops_is_pruned_with_the_score_of_its_curve(self, tmp_path, overrides, steps):
        done = run(tmp_path, *overrides, "search.algorithm=random", "search.trials=8")
        assert done.returncode == 0, done.stderr
        states = {row["state"] for row in table_of(tmp_path)}
        assert states == {"COMPLETE", "PRUNED"}
        for row in table_of(tmp_path):
            assert row["score"] == row["history"][-1][1]
            assert (row["state"] == "COMPLETE") == (len(row["history"]) == steps)

    def test_the_budget_ends_a_search_whose_params_rays_searcher_chooses(self, tmp_path):
        done = run(tmp_path, "backend.searcher=native", "search.trials=2000", "search.budget.seconds=3")
        assert done.returncode == 0, done.stderr
        table = table_of(tmp_path)
        assert {row["state"] for row in table} == {"COMPLETE"}
        seconds = [row["seconds"] for row in table]
        assert sum(seconds) - 2 * max(seconds) < 3 < sum(seconds)  # two may have been on their way when it was spent

    def test_a_population_hands_checkpoints_on_and_the_ledger_shows_each_trials_schedule(self, tmp_path):
        overrides = ("backend.scheduler=pbt", "backend.mutate=[model.x]", "search.algorithm=random", "search.trials=4")
        done = run(tmp_path, *overrides)
        assert done.returncode == 0, done.stderr
        from litune.study import runs

        _, space, ledger = runs.read(tmp_path / "it")
        assert all(len(row.history) == 4 for row in ledger.rows.values())
        changed = [row for row in ledger.rows.values() if row.schedule]
        assert changed
        for row in changed:
            first, *later = row.schedule
            assert first["step"] == 0
            assert ledger.rows[first["trial"]].params == first["params"]
            for part in later:
                assert space.misfits(part["params"]) == []
                assert 0 < part["step"] < 4

    @pytest.mark.parametrize(
        ("overrides", "told"),
        [
            (("backend.searcher=optunna",), "did you mean optuna?"),
            (("backend.searcher=hyperopt",), "pip install hyperopt"),
            (("backend.searcher={_target_: os.system}",), "a class of ray.tune"),
            (("backend.scheduler=ashha",), "did you mean asha?"),
            (
                ("backend.scheduler={name: asha, graze_period: 1}",),
                "backend.scheduler.graze_period: got an unknown argument; expected an argument of asha: time_attr",
            ),
            (
                ("backend.scheduler={name: asha, graze_period: 1}",),
                "did you mean backend.scheduler.grace_period?",
            ),
            (
                ("backend.scheduler={name: asha, grace_period: long}",),
                "backend.scheduler.grace_period: got 'long'; expected a number",
            ),
            (("backend.scheduler={name: asha, brackets: 0}",), "got asha with brackets=0; expected one that fits"),
            (("backend.searcher={name: optuna, sed: 1}",), "did you mean backend.searcher.seed?"),
            (("backend.scheduler={grace_period: 1}",), "backend.scheduler: got no name; expected null, one of fifo"),
            (("backend.scheduler=asha", "trainer.val_check_interval=0.5"), "{name: asha, max_t: NUMBER}"),
            (("backend.scheduler=asha", "search.pruner=median"), "search.pruner: got median; expected none"),
            (("backend.scheduler=pbt", "search.trials=40"), "search.lag=40"),
            (("backend.scheduler=pbt", "search.trials=4"), "backend.mutate"),
            (("backend.num_cpus=1", "backend.resources_per_trial={cpu: 2}"), "at least 2"),
            (("backend.address=auto", "backend.num_cpus=1"), "null beside backend.address"),
        ],
    )
    def test_what_ray_could_not_do_is_told_before_it_starts(self, tmp_path, overrides, told):
        done = run(tmp_path, *overrides)
        assert done.returncode == 2
        assert told in done.stderr
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "it").exists()


@pytest.mark.parametrize(
    ("devices", "parallel", "held"), [(1, 2, 1.0), (1, 4, 1.0), (1, 8, 0.5), (2, 2, 2.0), ("auto", 1, 4.0)]
)
def test_a_trial_holds_as_many_gpus_as_it_trains_on(devices, parallel, held, monkeypatch, capsys):
    from litune.backends.ray import checks

    monkeypatch.setattr("litune.workers.resources.gpus", lambda: [*"0123"])
    monkeypatch.chdir(PROJECT)
    words = ["experiment=tiny", "backend=ray", "trainer.accelerator=auto", f"trainer.devices={devices}"]
    words += [f"search.parallel={parallel}"]
    assert checks.share_of(compose(words).config)["gpu"] == held
    assert cli.search_main([*words, "backend.num_gpus=0"]) == 2
    assert f"backend.num_gpus: got 0; expected at least {held:g}, which one trial holds" in capsys.readouterr().err


@pytest.mark.skipif(importlib.util.find_spec("aiohttp_cors") is not None, reason="the extra is installed")
def test_a_dashboard_without_its_packages_is_told_with_the_pip_line(tmp_path):
    done = run(tmp_path, "backend.dashboard=true")
    assert done.returncode == 2
    assert "pip install 'litune[ray-dashboard]'" in done.stderr
    assert not (tmp_path / "it").exists()


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    made.add_node(num_cpus=1)
    yield made
    made.shutdown()


class TestCluster:
    WORDS = ("search.algorithm=random", "search.trials=8", "search.space=search_spaces/tiny.json")

    def test_trials_run_on_both_nodes_and_a_node_killed_in_mid_search_loses_nothing(self, tmp_path, cluster):
        hold, later = tmp_path / "hold", tmp_path / "later"
        hold.write_text("0")
        later.write_text("2")
        process = start(tmp_path, *self.WORDS, f"model.hold={hold}", f"backend.address={cluster.address}")
        started = [tmp_path / "it" / "trials" / number / "config.yaml" for number in ("0000", "0001")]
        _await(lambda: all(path.exists() for path in started), process)  # one core a node: each has its trial
        later.replace(hold)  # those two end, and the next two wait
        node = next(iter(cluster.worker_nodes))
        _await(lambda: _where(tmp_path, node.node_id), process)
        cluster.remove_node(node, allow_graceful=False)
        hold.unlink()
        said = process.communicate()[0]
        assert process.returncode == 0, said[-3000:]
        assert len({row["where"].split()[-1] for row in table_of(tmp_path)}) == 2
        assert meaning(table_of(tmp_path)) == meaning(search("local", *self.WORDS))

    def test_an_address_that_nobody_answers_is_told(self, tmp_path):
        done = run(tmp_path, "backend.address=127.0.0.1:1")
        assert done.returncode == 2
        assert "backend.address" in done.stderr
        assert done.stderr.count("\n") == 1  # and nothing of Ray's own


def test_a_cluster_that_is_gone_is_told_before_ray_looks_for_it(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    done = preloaded.run(command(tmp_path, "backend.address=auto"), env=dict(os.environ))
    assert done.returncode == 2
    assert "backend.address: got 'auto'" in done.stderr
    assert "nothing answers at 127.0.0.1:1, which RAY_ADDRESS names or an earlier cluster has left" in done.stderr
    assert done.stderr.count("\n") == 1  # and nothing of Ray's own
    assert not (tmp_path / "it").exists()


@pytest.fixture
def client(monkeypatch):
    """Start a cluster as its administrator does, and return the address for clients of it."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_CLIENT_SERVER_CHECK_CHANNEL_TIMEOUT_S", "120")  # 30 are too few on a busy machine
    with socket.socket() as first, socket.socket() as second:
        for probe in (first, second):
            probe.bind(("127.0.0.1", 0))
        port, own = first.getsockname()[1], second.getsockname()[1]
    options = [f"--port={own}", f"--ray-client-server-port={port}", "--num-cpus=1", "--include-dashboard=false"]
    words = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", *options]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as head:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.5)
        yield f"ray://127.0.0.1:{port}"
        head.terminate()


def test_a_client_of_a_cluster_has_the_same_table(tmp_path, client):
    done = run(tmp_path, "search.algorithm=random", "search.trials=3", f"backend.address={client}")
    assert done.returncode == 0, done.stderr[-3000:]
    assert meaning(table_of(tmp_path)) == meaning(search("local", "search.algorithm=random", "search.trials=3"))


def _await(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for the condition while the process runs; end it where that never comes."""
    deadline = time.monotonic() + 300
    while not condition():
        if time.monotonic() > deadline or process.poll() is not None:
            process.kill()
            raise AssertionError(process.communicate()[0][-3000:])
        time.sleep(0.2)


def _where(runs_directory: Path, node: str) -> bool:
    from litune.study import runs

    if not (runs_directory / "it" / "ledger.db").exists():
        return False
    with contextlib.suppress(Exception):
        _, _, ledger = runs.read(runs_directory / "it")
        return any(row.where.endswith(node[:8]) for row in ledger.rows.values())
    return False
