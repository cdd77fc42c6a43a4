import signal
import subprocess
import time

import psutil
import pytest
from conformance import BackendConformance

from litune import cli
from tests import in_process
from tests.preloaded import LITUNE, PROJECT

pytest.importorskip("nni")


class TestNni(BackendConformance):
    backend = "nni"


def test_searches_that_start_at_once_have_a_manager_each(tmp_path):
    words = ["backend=nni", "experiment=tiny", "search.algorithm=random", "search.trials=2", f"search.runs={tmp_path}"]
    searches = [
        subprocess.Popen(
            [*LITUNE, "search", *words, f"name={name}", "seed=7"],
            cwd=PROJECT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        for name in "ab"
    ]  # fmt: skip
    said = [search.communicate(timeout=200)[0] for search in searches]
    assert [search.returncode for search in searches] == [0, 0], said
    pages = {line for text in said for line in text.splitlines() if line.startswith("NNI's page: ")}
    assert len(pages) == 2
    assert len({text.splitlines()[-1] for text in said}) == 1  # the digest


def test_a_run_directory_that_cannot_be_made_is_refused(capsys, monkeypatch):
    monkeypatch.chdir(PROJECT)
    assert cli.search_main(["backend=nni", "experiment=tiny", "name=it", "search.runs=/proc/x"]) == 2
    assert "command line: search.runs: got /proc/x; expected a directory that can be made; " in capsys.readouterr().err


def test_a_manager_that_answers_no_more_after_the_last_trial_does_not_fail_the_search(tmp_path):
    hold, run = tmp_path / "hold", tmp_path / "it"
    hold.write_text("0")
    words = ["backend=nni", "experiment=tiny", "name=it", "search.algorithm=random", "search.trials=1"]
    search = subprocess.Popen(
        [*LITUNE, "search", *words, f"search.runs={tmp_path}", f"model.hold={hold}"],
        cwd=PROJECT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    while not (run / "trials/0000/config.yaml").exists():
        assert search.poll() is None, search.communicate()[0]
        time.sleep(0.1)
    [manager] = [child for child in psutil.Process(search.pid).children() if "nni_node" in " ".join(child.cmdline())]
    manager.send_signal(signal.SIGSTOP)
    hold.unlink()
    said, _ = search.communicate(timeout=100)
    assert search.returncode == 0, said
    assert said.splitlines()[-1].startswith("digest ")
    assert not manager.is_running()


def test_a_trial_that_an_assessor_ends_keeps_the_time_that_it_took(tmp_path):
    queue = "search.enqueue=[{model.x:0,model.y:1,model.k:0,model.kind:c},{model.x:0,model.y:1,model.k:0,model.kind:a}]"
    words = ["backend=nni", "experiment=tiny", "name=it", "search.algorithm=repeat", "search.trials=2", queue]
    words += ["backend.assessor=Medianstop", "search.parallel=1", f"search.runs={tmp_path}"]
    words += ["trainer.max_epochs=400", "model.pace=0.02"]  # so that NNI sees the first one end in time
    done = subprocess.run([*LITUNE, "search", *words], cwd=PROJECT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr + done.stdout
    whole, pruned = in_process.trials(tmp_path / "it")
    assert (whole["state"], pruned["state"]) == ("COMPLETE", "PRUNED")
    assert 0 < pruned["seconds"] < whole["seconds"]
    assert "trial 1" in in_process.timeline(tmp_path / "it")


def test_the_budget_ends_a_search_whose_params_nnis_tuner_chooses(tmp_path):
    words = ["backend=nni", "experiment=tiny", "name=it", "backend.tuner=Random", "search.trials=500"]
    words += ["search.budget.seconds=0.4", "search.parallel=2", f"search.runs={tmp_path}"]
    done = subprocess.run([*LITUNE, "search", *words], cwd=PROJECT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr + done.stdout
    seconds = [row["seconds"] for row in in_process.trials(tmp_path / "it")]
    assert sum(seconds[:-3]) < 0.4 < sum(seconds)
