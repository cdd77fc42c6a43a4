"""Hyperparameter search for PyTorch Lightning: one search, the same trial table on Optuna, Ray Tune and NNI."""
