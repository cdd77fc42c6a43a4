"""Search spaces: what may be tried, in litune's words, in NNI's and in Optuna's."""
