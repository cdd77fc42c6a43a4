"""Search the best hyperparameters of an experiment: python search.py backend=optuna experiment=digits_mlp."""

import sys

from litune.cli import search_main

if __name__ == "__main__":
    sys.exit(search_main())
