"""`python -m litune` is the command `litune`."""

import sys

from litune.cli import main

sys.exit(main())
