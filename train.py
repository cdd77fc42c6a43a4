"""Train once with no tuner, train a search's best.yaml, or replay a recorded trial: python train.py --help."""

import sys

from litune.cli import train_main

if __name__ == "__main__":
    sys.exit(train_main())
