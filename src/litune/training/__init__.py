"""One trial as a seeded Lightning training. Here alone torch and Lightning are imported."""
