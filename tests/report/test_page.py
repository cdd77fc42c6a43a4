"""The report of a run, made by the public command and opened in a browser."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from litune import cli
from litune.trial import Failure, FailureClass, Job, Outcome, TrialState

HEADINGS = ("Summary", "Leaderboard", "Over the search", "What matters", "Parallel coordinates", "Slices",
            "Timeline", "Failures", "Environment", "How to reproduce")  # fmt: skip


def open_page(page: Path, profile: Path) -> tuple[str, list[str]]:
    """Return the page as Chromium built it, and what it wrote to the console."""
    words = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
    done = subprocess.run(
        [*words, "--enable-logging=stderr", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.fixture(scope="module")
def run(recorded: Callable[..., Path]) -> Path:
    return recorded("forty", 40)


@pytest.fixture(scope="module")
def page(run: Path) -> str:
    assert cli.main(["report", str(run)]) == 0
    return (run / "report.html").read_text()


def test_the_page_has_every_section_and_every_picture_has_marks(page: str) -> None:
    assert [*re.findall("<h2>(.*?)</h2>", page)] == [*HEADINGS]
    pictures = re.findall("<svg.*?</svg>", page, re.DOTALL)
    assert len(pictures) == 6 + 4  # history, curves, importances, contour, parallel, timeline; a slice for each param
    assert all('class="mark' in picture for picture in pictures)


def test_lines_across_many_params_or_long_words_can_be_read(recorded: Callable[..., Path], tmp_path: Path) -> None:
    names = [f"model.an_argument_with_a_long_name_{place}" for place in range(14)]
    words = {"_type": "choice", "_value": ["a choice of many words and letters", "another one of these"]}
    space = tmp_path / "space.json"
    space.write_text(
        json.dumps({"optimizer.lr": {"_type": "loguniform", "_value": [1e-3, 1e-1]}, **dict.fromkeys(names, words)})
    )
    run = recorded("broad", 12, f"search.space={space}")
    assert cli.main(["report", str(run)]) == 0
    page = (run / "report.html").read_text()
    (picture,) = re.findall(r'<svg class="broad".*?</svg>', page, re.DOTALL)
    labels = re.findall(r"<text[^>]*>(.*?)</text>", picture)
    assert max(map(len, labels)) == 14


def test_the_contours_cells_leave_no_gaps(page: str) -> None:
    cells = re.findall(r'<rect class="mark cell" x="(.*?)" y="(.*?)" width="(.*?)" height="(.*?)"', page)
    boxes = [tuple(map(float, cell)) for cell in cells]
    assert len(boxes) > 100
    for start, size in ((0, 2), (1, 3)):
        starts = {box[start] for box in boxes}
        ends = {box[start] + box[size] for box in boxes}
        assert starts - ends == {min(starts)}


def test_the_page_fetches_nothing_and_is_readable_by_its_owner_alone(run: Path, page: str) -> None:
    assert not re.search(r"(src|href)=[\"'](?!data:)|url\(|@import|<script", page)
    assert (run / "report.html").stat().st_mode & 0o077 == 0


def test_text_from_users_is_escaped(page: str) -> None:
    assert "&lt;script&gt;console.error" in page
    assert "<img" not in page


def test_the_page_of_500_trials_is_under_5_mb(recorded: Callable[..., Path]) -> None:
    run = recorded("large", 500)
    assert cli.main(["report", str(run)]) == 0
    assert (run / "report.html").stat().st_size < 5_000_000


def test_markdown_goes_to_the_terminal(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", str(run), "--format", "md"]) == 0
    shown = capsys.readouterr().out
    assert cli.main(["digest", str(run)]) == 0
    assert capsys.readouterr().out.split()[-1] in shown
    assert "optimizer.lr matters most" in shown
    assert "<script>" not in shown


def test_a_search_in_which_every_trial_failed_has_a_report(recorded: Callable[..., Path]) -> None:
    def fail(_job: Job) -> Outcome:
        return Outcome(state=TrialState.FAILED, failure=Failure(kind=FailureClass.NAN, message="loss is NaN"))

    run = recorded("failed", 3, ending=fail)
    assert cli.main(["report", str(run)]) == 0
    page = (run / "report.html").read_text()
    assert "No trial was completed" in page
    assert "loss is NaN" in page


def test_a_file_that_cannot_be_written_is_named(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", str(run), "--out", "/nowhere/at/all.html"]) == 2
    assert "/nowhere/at/all.html" in capsys.readouterr().err


def test_it_says_where_the_search_came_from_but_no_password(
    recorded: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["search.py", "search.trials=9", "search.storage=postgresql://ann:hidden@db/runs"]
    monkeypatch.setattr("sys.argv", words)
    run = recorded("from", 9)
    assert cli.main(["report", str(run), "--format", "md"]) == 0
    shown = capsys.readouterr().out.replace("\\", "")
    assert "search.py search.trials=9 'search.storage=postgresql://ann:***@db/runs'" in shown
    assert "hidden" not in shown.replace("model.hidden", "")
    assert re.search(r"commit \| [0-9a-f]{40}", shown)


def test_pictures_for_a_paper_are_png_files(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib", reason="the extra `plots` is not installed")
    assert cli.main(["report", str(run), "--png", str(tmp_path / "figures")]) == 0
    files = [Path(line) for line in capsys.readouterr().out.split()]
    assert {file.stem for file in files} == {
        "history", "curves", "slices", "timeline", "importances", "parallel", "contour"
    }  # fmt: skip
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium")
def test_a_browser_renders_the_page_without_a_complaint(run: Path, page: str, tmp_path: Path) -> None:
    dom, complaints = open_page(run / "report.html", tmp_path)
    assert dom.count("<svg") == page.count("<svg")
    assert complaints == []
    broken = tmp_path / "broken.html"
    broken.write_text("<script>console.error('seen')</script>")
    assert open_page(broken, tmp_path)[1] != []
