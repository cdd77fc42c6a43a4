"""NODE_OPTIONS, by which node runs scripts of ours in NNI's manager: loopback.js confines it to this machine."""

from __future__ import annotations

import os
from pathlib import Path


def node_options(*names: str) -> str:
    """Return NODE_OPTIONS that load these scripts of ours, beside what the variable holds already."""
    scripts = [Path(__file__).with_name(name) for name in names]
    wanted = [f"--require {_quoted(str(path))}" for path in scripts]
    present = os.environ.get("NODE_OPTIONS", "")
    return " ".join([*([present] if present else []), *(option for option in wanted if option not in present)])


def export_line() -> str:
    """Return the line to run in a shell before a bare nnictl."""
    return f"export NODE_OPTIONS='{node_options('loopback.js')}'"


def _quoted(path: str) -> str:
    escaped = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"' if escaped != path or " " in path else path
