"""What is tried next: pure functions of the seed, the decision's number and what it may see."""
