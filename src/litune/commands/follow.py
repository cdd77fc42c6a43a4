"""`--join`: a search that another command carries out, followed by its ledger until that command ends."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from litune import interrupts
from litune.errors import LituneError
from litune.report.console import console_here
from litune.report.ending import print_ending
from litune.report.live import line_of
from litune.space.space import Space
from litune.study import identity, lock, runs
from litune.table import TrialRow, digest

_PAUSE = 0.5  # seconds between two looks at the ledger, at least
_SHARE = 10  # a look that took t seconds is followed by one not before _SHARE * t, whatever the ledger's size


def follow(config: DictConfig, space: Space) -> int:
    """Print each trial that another driver's search ends, until that driver ends; return 0 if all were ended."""
    directory = identity.directory_of(config, space)
    console = console_here()
    console.print(f"{directory.name}: {lock.holder(directory)}; followed here", soft_wrap=True)
    shown: set[int] = set()
    while lock.is_held(directory):
        began = time.monotonic()
        with contextlib.suppress(LituneError):  # it is about to be made; later the same is an error, below
            _show(console, _read(directory), shown)
        time.sleep(max(_PAUSE, _SHARE * (time.monotonic() - began)))
    rows = _read(directory)
    _show(console, rows, shown)
    print_ending(console, directory)
    if len(shown) < len(rows) or not rows:
        text = f"its driver has ended after {len(shown)} trials; continue with: {interrupts.command_line()}"
        console.print(text, soft_wrap=True)
        return 1
    console.print(f"digest {digest(rows.values())}", soft_wrap=True)
    return 0


def _read(directory: Path) -> Mapping[int, TrialRow]:
    _, _, ledger = runs.read(directory)
    return ledger.rows


def _show(console: Console, rows: Mapping[int, TrialRow], shown: set[int]) -> None:
    for number, row in sorted(rows.items()):
        if row.ended and number not in shown:
            shown.add(number)
            console.print(line_of(row), soft_wrap=True)
