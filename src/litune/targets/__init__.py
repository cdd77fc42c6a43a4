"""What a config names (`_target_`, functions): found, trusted, checked against its signature, called."""
