"""Targets and names that are meant to run something, or to reach a place outside: all are refused at the start."""

import pytest

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
