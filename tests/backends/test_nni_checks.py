"""What is refused before NNI's manager starts, and what confines it."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("nni")

import nni_node
import psutil

from litune import unix_socket
from litune.backends.nni import checks, env, launch, nnictl_file, rest, wire
from litune.config import compose
from litune.space import space_file

GOOD = """\
searchSpace:
  model.k: {_type: choice, _value: [1, 2]}
trialCommand: python -m litune.backends.nni.trial experiment=tiny
trialConcurrency: 2
tuner: {name: GridSearch}
trainingService: {platform: local}
"""
NODE = Path(nni_node.__path__[0]) / "node"
PROJECT = Path(__file__).parent / "project"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "experiments").symlink_to(PROJECT / "experiments")
    monkeypatch.chdir(tmp_path)


def problems_of(tmp_path: Path, *changes: tuple[str, str]) -> str:
    text = GOOD
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "nni.yml"
    path.write_text(text)
    return "\n".join(str(problem) for problem in nnictl_file.check(path))


def test_a_good_file_has_no_problems(tmp_path):
    assert problems_of(tmp_path) == ""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("_type: choice", "_type: choise", "did you mean choice?"),
        ("{_type: choice, _value: [1, 2]}", "{_type: uniform, _value: [2, 1]}", "expected low below high"),
        ("trialConcurrency", "trialConcurency", "did you mean trialConcurrency?"),
        ("trialConcurrency: 2", "trialConcurrency: 0", "1 or more"),
        ("trialCommand: python -m litune.backends.nni.trial experiment=tiny\n", "", "trialCommand: got nothing"),
        ("nni.trial experiment=tiny", "nni.trial 'name=it", "(No closing quotation)"),
        ("GridSearch", "GridSerch", "did you mean GridSearch?"),
        ("{name: GridSearch}", "GridSearch", "expected a section, as tuner: {name: GridSearch}"),
        ("trialConcurrency: 2", "trialConcurrency: 2\nmaxTrialNumber: ten", "maxTrialNumber: got 'ten'"),
        ("trialConcurrency: 2", "trialConcurrency: 2\nmaxTrialDuration: 5 minutes", "90s, 30m, 2h or 1d"),
        ("trialConcurrency: 2", "trialConcurrency: 2\ntrialCodeDirectory: nowhere", "expected a directory"),
        ("platform: local", "platform: locl", "did you mean local?"),
        ("experiment=tiny", "experiment=digits_mpl", "did you mean digits_mlp?"),
        ("-m litune.backends.nni.trial", "-m litune train", "NNI would learn no score from this command"),
        (
            "python -m litune.backends.nni.trial",
            "venv/bin/litune train",
            "expected python -m litune.backends.nni.trial",
        ),
        ("experiment=tiny", "--config-dri conf experiment=tiny", "did you mean --config-dir?"),
        ("experiment=tiny", "experiment=digits_mlp seed=x", "seed: got 'x'; expected int"),
        ("experiment=tiny", "experiment=tiny model.k=1", "model.k: got a value; expected no value: the search"),
        ("GridSearch", "SMAC", "pip install 'nni[SMAC]'"),
        ("GridSearch", "Metis", "numpy 2"),
        ("{name: GridSearch}", "{name: TPE}", "tuner: got TPE, which would minimize, for objective.mode=max"),
        ("{name: GridSearch}", "{name: TPE, classArgs: {optimise_mode: maximize}}", "did you mean optimize_mode?"),
        (
            "{_type: choice, _value: [1, 2]}",
            "{_type: uniform, _value: [1, 2]}",
            "Random, TPE and Evolution take ranges",
        ),
    ],
)
def test_what_nni_would_accept_in_silence_is_told_with_its_place(tmp_path, old, new, said):
    found = problems_of(tmp_path, (old, new))
    assert said in found
    assert "nni.yml" in found


def test_an_experiment_that_has_its_runs_elsewhere_is_told_to_say_so_in_the_command(tmp_path):
    (tmp_path / "experiments").unlink()
    (tmp_path / "experiments").mkdir()
    text = (PROJECT / "experiments/tiny.yaml").read_text().replace("search: {", "search: {runs: elsewhere, ")
    (tmp_path / "experiments/tiny.yaml").write_text(text)
    found = problems_of(tmp_path)
    assert "experiments/tiny.yaml:7: search.runs: got 'elsewhere'; expected it in trialCommand" in found
    assert found.endswith("search.runs=elsewhere")
    assert problems_of(tmp_path, ("experiment=tiny", "experiment=tiny search.runs=elsewhere")) == ""


def test_the_command_has_the_options_of_a_search(tmp_path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "experiments").rename(tmp_path / "conf/experiment")
    assert "experiment: got tiny" in problems_of(tmp_path)
    assert problems_of(tmp_path, ("experiment=tiny", "--config-dir conf experiment=tiny")) == ""


def test_all_of_a_files_problems_are_told_at_once(tmp_path):
    found = problems_of(
        tmp_path, ("choice", "choise"), ("trialConcurrency: 2", "trialConcurrency: 0"), ("Grid", "Gird")
    )
    assert len(found.splitlines()) == 3


def search(*words: str, cwd: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "litune", "search", "backend=nni", "experiment=tiny", "name=x", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60)


def test_a_broken_tuner_is_refused_before_a_run_directory_is_made(tmp_path):
    done = search("backend.tuner=GP", f"search.runs={tmp_path / 'runs'}", cwd=PROJECT)
    assert done.returncode == 2
    assert "backend.tuner: got 'GP'" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_an_argument_that_a_tuner_lacks_is_refused(tmp_path):
    tuner = "backend.tuner={name: TPE, classArgs: {sed: 3}}"
    done = search(tuner, f"search.runs={tmp_path / 'runs'}", cwd=PROJECT)
    assert done.returncode == 2
    assert "backend.tuner.classArgs.sed: got an unknown argument" in done.stderr
    assert "did you mean seed?" in done.stderr


@pytest.mark.parametrize(
    ("tuner", "said"),
    [
        ("{name: TPE, classArgs: 3}", ".classArgs: got 3; expected arguments by their names"),
        ("{name: TPE, clasArgs: {}}", ".clasArgs: got an unknown key; expected one of name, classArgs; did you mean c"),
        ("{classArgs: {}}", ".name: got nothing; expected one of GridSearch, Random"),
        ("", ": got ''; expected one of GridSearch, Random"),
    ],
)
def test_a_tuner_of_another_form_is_refused(tmp_path, tuner, said):
    done = search(f"backend.tuner={tuner}", f"search.runs={tmp_path / 'runs'}", cwd=PROJECT)
    assert done.returncode == 2
    assert f"backend.tuner{said}" in done.stderr


def test_an_assessor_that_cannot_go_the_objectives_way_is_refused(tmp_path):
    words = ("backend.assessor=Curvefitting", "objective.mode=min", f"search.runs={tmp_path / 'runs'}")
    done = search(*words, cwd=PROJECT)
    assert done.returncode == 2
    assert "Curvefitting, which takes larger for better" in done.stderr


@pytest.mark.parametrize(("given", "fits"), [("maximize", True), ("minimize", False), (None, False)])
def test_an_nnictl_tuner_must_go_the_objectives_way(given, fits):
    tuner = {"name": "TPE", "classArgs": {"optimize_mode": given} if given else None}  # by default it minimises
    assert bool(checks.directions({"tuner": tuner}, "max")) is not fits


def test_a_busy_port_is_refused_with_its_holder(tmp_path):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        done = search(f"backend.port={port}", f"search.runs={tmp_path / 'runs'}", cwd=PROJECT)
    assert done.returncode == 2
    assert f"got {port}, which process" in done.stderr


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.parametrize(
    ("port", "said"),
    [("{free}", "Connection refused"), ("{page}", "no manager of NNI's"), ("http", "invalid literal")],
)
def test_a_manager_that_does_not_answer_is_refused(tmp_path, page, port, said):
    url = f"http://127.0.0.1:{port.format(free=free_port(), page=page)}"
    done = search(f"backend.manager={url}", f"search.runs={tmp_path / 'runs'}", cwd=PROJECT)
    assert done.returncode == 2
    assert f"backend.manager: got '{url}'; expected the URL of a running manager" in done.stderr
    assert said in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "call", ["listen(0)", "listen(0, '0.0.0.0')", "listen({port: 0})", "listen(0, '::')", "listen()"]
)
def test_every_way_to_listen_ends_on_this_machine(call):
    script = f"const s = require('http').createServer(); s.{call}; s.on('listening', () => {{"
    script += "console.log(JSON.stringify(s.address())); s.close(); })"
    command = [str(NODE), "--require", str(Path(env.__file__).with_name("loopback.js")), "-e", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert json.loads(done.stdout)["address"] == "127.0.0.1"


@pytest.fixture
def page():
    script = "const s = require('http').createServer((q, r) => r.end('1')); s.listen(0);"
    script += "s.on('listening', () => console.log(s.address().port))"
    command = [str(NODE), "--require", str(Path(env.__file__).with_name("loopback.js")), "-e", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield int(process.stdout.readline())
        process.kill()


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("Host: localhost", "200"),
        ("Host: evil.example", "403"),
        ("Host: localhost\r\nOrigin: http://evil.example", "403"),
        ("Host: 127.0.0.1\r\nOrigin: http://localhost:8080", "200"),
    ],
)
def test_a_foreign_page_cannot_use_the_manager(page, header, status):
    with socket.create_connection(("127.0.0.1", page)) as connection:
        connection.sendall(f"GET / HTTP/1.0\r\n{header}\r\n\r\n".encode())
        assert connection.recv(100).decode().split()[1] == status


def test_node_options_keep_what_is_there_and_load_each_script_once(monkeypatch):
    monkeypatch.setenv("NODE_OPTIONS", "--max-old-space-size=512")
    once = env.node_options("loopback.js")
    assert once.startswith("--max-old-space-size=512 --require ")
    monkeypatch.setenv("NODE_OPTIONS", once)
    assert env.node_options("loopback.js") == once


def test_the_socket_is_for_this_user_only_and_may_lie_deep(tmp_path):
    deep = tmp_path / ("d" * 120) / ("e" * 120)
    deep.mkdir(parents=True)
    listener = wire.listen(str(deep))
    client = wire.connect(str(deep))
    server = wire.Connection(listener.accept()[0])
    client.send({"type": "trial", "trial": "a"})
    assert server.read() == [{"type": "trial", "trial": "a"}]
    assert (deep / unix_socket.DRIVER).stat().st_mode & 0o777 == 0o600
    client.close()
    assert server.read() is None
    server.close()
    listener.close()


def test_a_manager_that_is_gone_is_an_os_error():
    manager = rest.Manager(f"http://127.0.0.1:{free_port()}")
    assert not manager.alive()
    with pytest.raises(OSError, match="refused"):
        manager.get("/check-status")


def test_the_manager_waits_longer_for_its_tuner_and_for_nothing_else(tmp_path):
    script = "const timer = setTimeout(() => {}, 10000); console.log(timer._idleTimeout); clearTimeout(timer);"
    patience = str(Path(env.__file__).with_name("patience.js"))
    seconds = {}
    for name in ("tuner_command_channel.js", "other.js"):
        (tmp_path / name).write_text(script)
        command = [str(NODE), "--require", patience, str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        seconds[name] = int(done.stdout) / 1000
    assert seconds == {"tuner_command_channel.js": 60, "other.js": 10}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # NNI closes neither logs nor sockets
def test_the_manager_of_a_search_is_started_with_that_patience(tmp_path):
    config = compose.compose(["backend=nni", "experiment=tiny", f"search.runs={tmp_path / 'runs'}"]).config
    with launch.started(config, space_file.load(PROJECT / "search_spaces/tiny.json")) as launched:
        options = psutil.Process(launched.process.pid).environ()["NODE_OPTIONS"]
    assert f"--require {Path(env.__file__).with_name('patience.js')}" in options
