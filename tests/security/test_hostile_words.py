"""Targets and names that are meant to run something, or to reach a place outside: all are refused at the start."""

import re
import shlex

import pytest

from tests.conftest import EXPERIMENT

TARGETS = [
    "os.system", "os.execv", "subprocess.Popen", "subprocess.run", "shutil.rmtree", "builtins.eval", "builtins.exec",
    "builtins.__import__", "eval", "importlib.import_module", "pickle.loads", "pickle.Unpickler", "marshal.loads",
    "ctypes.CDLL", "code.InteractiveInterpreter", "pty.spawn", "socket.socket", "webbrowser.open", "runpy.run_path",
    "torch.utils.data.datapipes.iter.RoutedDecoder", "torch.utils.data.datapipes.iter.Mapper",
    "torchvision.datasets.LSUN", "torch.jit.ScriptModule", "torch.fx.GraphModule",
    "torch.load", "torch.hub.load", "torch.jit.load", "torch.serialization.os.system", "torch.os.system",
    "torch.utils.cpp_extension.load_inline", "torch.utils.cpp_extension.subprocess.Popen",
    "torchvision.datasets.utils.download_url", "pytorch_lightning.utilities.rank_zero.os.system",
    "litune.cli.os.system", "litune.workers.parent.os.system", "my_net.torch.os.system",
    "my_net.Net.__init__.__globals__", "my_net.Net.__reduce__", "..os.system", "os;system", "my_net.Net()",
    "/etc/passwd",
]  # fmt: skip

NAMES = [
    "..", ".", "../x", "../../etc/x", "a/b", "/etc/x", "a/../../b", "~", "~root", "$HOME", "$(id)", "`id`", "a;id",
    "a|id", "a&id", "a>b", "a*", "a?", "a b", "a\tb", "a:b", "a%2f..", "é", "a\u202eb", "\u0430", "a" * 81, "<script>",
    "a\\b", "-\n",
]  # fmt: skip


def test_hostile_targets_are_refused(project) -> None:
    keys = [f"callbacks.x{at}" for at in range(len(TARGETS))]
    words = [f"{key}={{_target_: '{target}'}}" for key, target in zip(keys, TARGETS, strict=True)]
    result = project.search("experiment=mine", *words)
    project.assert_refused(result, *[f"{key}._target_: got " for key in keys])


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_name_is_refused(project, name: str) -> None:
    quoted = "'" + name.replace("\\", "\\\\") + "'"
    project.assert_refused(project.search("experiment=mine", f"name={quoted}"), "command line: name: got ", "letters")


@pytest.mark.parametrize("experiment", ["../../esc/x", "/etc/x", "a/b"])
def test_an_experiment_that_calls_itself_by_a_path_is_refused(project, experiment: str) -> None:
    project.write("mine.yaml", f"experiment: {experiment}\n{EXPERIMENT}")
    for command in (project.search, project.train):
        refused = command("--config-file", "mine.yaml", "search.space=mine")
        project.assert_refused(refused, f"mine.yaml:1: experiment: got '{experiment}'; expected a name")


def test_a_run_of_a_file_with_any_name_has_a_good_name_and_its_commands_can_be_typed(project) -> None:
    project.write("my_slope.py", "def climb(params, trial):\n    return params['slope']\n")
    function = "function: {_target_: my_slope.climb}\nallow: [my_slope]\n"
    project.write("a b,é$x.yaml", f"{function}objective: {{metric: score}}\n")
    project.write("slope.json", '{"function.slope": {"_type": "uniform", "_value": [0, 1]}}')
    words = ["backend=local", "search.space=slope.json", "search.trials=1", "search.runs='the runs'"]
    code, out, err = project.search("--config-file", "a b,é$x.yaml", *words)
    assert code == 0, err
    [run] = (project.root / "the runs").iterdir()
    assert re.fullmatch(r"a-b-x-[0-9a-f]{8}", run.name)
    train = next(line for line in out.splitlines() if line.startswith("train it: "))
    assert shlex.split(train)[-1] == f"the runs/{run.name}/best.yaml"
    code, out, err = project.train("--config-file", shlex.split(train)[-1])
    assert code == 0, err
    assert (project.root / "the runs" / "train-a-b-x").is_dir()
