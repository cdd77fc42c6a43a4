"""What is different in a notebook: a live picture is an output of the running cell, drawn over and over."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from html import escape
from typing import Any

_STYLE = "white-space:pre;overflow-x:auto;line-height:1.3;font-family:monospace"


def is_here() -> bool:
    """Say whether this is the kernel of a notebook (Jupyter, VS Code, Colab); IPython in a terminal is none."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


class Picture:
    """An output that is replaced each time; its last state stays. Made by IPython, which every notebook has."""

    def __init__(self) -> None:
        self._handle: Any = None

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines in place of the ones before."""
        from IPython.display import display

        text = "\n".join(lines)
        shown = {"text/plain": text, "text/html": f'<pre style="{_STYLE}">{escape(text)}</pre>'}
        if self._handle is None:
            self._handle = display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)
