"""How many threads NumPy and SciPy compute with.

Their BLAS takes all cores unless its environment says otherwise when it is loaded. On cores that others keep busy its
threads spin while they wait for one another, and how many there are may show in the last bits of a result.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController


@cache
def libraries() -> ThreadpoolController:
    """Find what is loaded of them, once: a forked process has it from its parent."""
    return ThreadpoolController().select(user_api="blas")


def limit(threads: int) -> AbstractContextManager[Any]:
    """Hold them to so many threads from now on, in a with statement until its end.

    Nothing is said where all are held to it already: in a forked process OpenBLAS would start its threads again for
    that, and they spin for a tenth of a second before they rest.
    """
    if all(library.num_threads == threads for library in libraries().lib_controllers):
        return nullcontext()
    limited: AbstractContextManager[Any] = libraries().limit(limits=threads)
    return limited
