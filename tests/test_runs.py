"""What makes two searches one: the identity of a run."""

from pathlib import Path

import pytest

from litune import checks, runs
from litune.compose import compose
from litune.errors import StudyChanged


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
    assert runs.run_name(plain, space) == runs.run_name(local, space)
    assert runs.run_name(plain, space) != runs.run_name(other, space)
    named = [compose([*words, "name=it", f"backend={backend}", *more]).config for more in ([], [own])]
    with runs.opened(named[0], space):
        pass
    with pytest.raises(StudyChanged, match=own.partition("=")[0]), runs.opened(named[1], space):
        pass
