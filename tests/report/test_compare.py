"""Runs side by side, by the public command."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from litune import cli


@pytest.fixture(scope="module")
def three(recorded: Callable[..., Path]) -> list[str]:
    return [str(recorded(name, trials)) for name, trials in (("one", 12), ("two", 12), ("longer", 20))]


def test_equal_digests_are_said_to_be_equal_and_others_different(
    three: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["compare", *three]) == 0
    shown = capsys.readouterr().out
    assert "equal digests: one, two (" in shown
    assert "different digests: longer (" in shown


def test_the_run_with_the_best_score_shows_it_and_its_params(
    three: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["compare", *three[1:]]) == 0
    shown = capsys.readouterr().out
    assert cli.main(["best", three[2]]) == 0
    best = capsys.readouterr().out
    learning_rate = shown.rpartition("longer ")[2].split("optimizer.lr=")[1].split()[0]
    assert f"{float(learning_rate):.4g}"[:5] in best


def test_runs_of_different_objectives_are_refused(
    three: list[str], recorded: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    other = recorded("other", 3, "objective.metric=val_loss", "objective.mode=min")
    assert cli.main(["compare", three[0], str(other)]) == 2
    assert "val_loss, min" in capsys.readouterr().err


def test_a_page_shows_runs_of_other_seeds_as_one_line_within_a_band(
    three: list[str], recorded: Callable[..., Path], tmp_path: Path
) -> None:
    seeds = [str(recorded(f"seed{seed}", 12, f"seed={seed}")) for seed in (1, 2, 3)]
    page = tmp_path / "comparison.html"
    assert cli.main(["compare", three[2], *seeds, "--out", str(page)]) == 0
    text = page.read_text()
    pictures = re.findall("<svg.*?</svg>", text, re.DOTALL)
    assert len(pictures) == 2
    for picture in pictures:
        assert picture.count('class="mark path') == 2
        assert picture.count('class="mark band') == 1
    assert "dashed: seed1, seed2, seed3" in text


def test_one_run_alone_is_refused(three: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compare", three[0]]) == 2
    assert "two runs or more" in capsys.readouterr().err
