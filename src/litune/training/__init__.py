"""One trial as a seeded Lightning training."""
