"""Where counts go: memory, Redis, and the journal on the way."""
