"""`hawkvision bench …`: benchmarks that anyone can run."""
