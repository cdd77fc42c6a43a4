"""How good an answer does each search give from the same budget, measured on recorded and surrogate trainings."""
