"""Where a training goes on that was interrupted: at the newest checkpoint that its earlier attempt left whole."""

from __future__ import annotations

from pathlib import Path

import torch

from litune.reporting import EpochSeeds, Report


def newest(directory: Path) -> str | None:
    """Return the newest checkpoint in the directory that a training can go on from; None if there is none.

    What cannot be read, or was not written by a trial (it lacks the reports so far), is passed over, and told.
    """
    found = sorted(directory.glob("*.ckpt"), key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)
    for path in found:
        if (epoch := _epoch(path)) is not None:
            print(f"an earlier attempt was interrupted; continuing after epoch {epoch}, from {path}", flush=True)
            return str(path)
    if found:
        print("no checkpoint is whole; starting over", flush=True)
    return None


def _epoch(path: Path) -> int | None:
    """Return the epoch that the checkpoint ends, or None where no training can go on from it."""
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        missing = {kind.__name__ for kind in (EpochSeeds, Report)} - set(checkpoint["callbacks"])
        if missing:
            raise ValueError(f"it lacks the state of {', '.join(sorted(missing))}")
        return int(checkpoint["epoch"])
    except Exception as error:  # noqa: BLE001 - whatever a damaged file makes torch raise
        print(f"{path} cannot be continued from: {type(error).__name__}: {error}", flush=True)
        return None
