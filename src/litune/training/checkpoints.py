"""Where the checkpoint of a trial is, also in a run that was moved or copied; and what is said of one that is bad."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

from litune.errors import LituneError
from litune.table import TrialRow
from litune.trial import CHECKPOINTS, directory_in


def place(run: Path, row: TrialRow) -> Path:
    """Return the directory of the trial, or of the one that answered it."""
    return directory_in(run, row.number if row.reused is None else row.reused)


def of_trial(run: Path, row: TrialRow) -> Path | None:
    """Return the trial's checkpoint; None if it has none, or it is nowhere."""
    return below(place(run, row), row.checkpoint)


def below(directory: Path, recorded: str | None) -> Path | None:
    """Return the checkpoint that was recorded of what lies in `directory` now; None if it is nowhere."""
    if not recorded:
        return None
    parts = Path(recorded).parts  # a folder above the run, or a callback, may be called so too
    moved = [directory.joinpath(*parts[place:]) for place, part in enumerate(parts) if part == CHECKPOINTS]
    return next((path for path in (*moved, Path(recorded)) if path.is_file()), None)


def refused(checkpoint: Path, error: pickle.UnpicklingError) -> LituneError:
    """Return the error of a checkpoint that torch.load(weights_only=True) does not open."""
    return LituneError(f"{checkpoint}: is not opened, as it could run code: {reason(error)}")


def reason(error: Exception) -> str:
    """Return, in a line, why a checkpoint cannot be read."""
    if isinstance(error, pickle.UnpicklingError) and (found := re.search(r"GLOBAL ([\w.]+)", str(error))):
        cure = "if it is an argument of the model's, self.save_hyperparameters(ignore=[...]) leaves it out"
        return f"it holds more than weights and plain values: {found[1]}; {cure}"
    return str(error).splitlines()[0] if str(error) else type(error).__name__
