"""python -m tests.faults [--full [N]] [--backend B] [--promise P]: inject the faults; --full tries each many times.

Its last output is the table of what was tried and survived.
"""

import argparse
import os
import sys
from pathlib import Path

import pytest

BACKENDS = ("local", "optuna", "ray", "nni")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument(
        "--full", nargs="?", type=int, const=10**6, default=0, metavar="N", help="the full counts, of each at most N"
    )
    parser.add_argument("--backend", choices=BACKENDS, help="without the others', where there is a test for each")
    parser.add_argument("--promise", help="only this promise's, as P1")
    options = parser.parse_args()
    os.environ["LITUNE_FAULTS_FULL"] = str(options.full)
    here = Path(__file__).parent
    pattern = f"test_p{int(options.promise.lstrip('Pp')):02d}_*.py" if options.promise else "test_p*.py"
    files = [str(path) for path in sorted(here.glob(pattern))]
    if not files:
        parser.error(f"no test of a promise {options.promise}")
    others = " or ".join(name for name in BACKENDS if name != options.backend)
    chosen = ["-k", f"not ({others})"] if options.backend else []
    return int(pytest.main(["-q", "-p", "no:cacheprovider", *chosen, *files]))


if __name__ == "__main__":
    sys.exit(main())
