import subprocess

import pytest
from conformance import BackendConformance

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
