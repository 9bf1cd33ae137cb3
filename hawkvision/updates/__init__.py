"""Over-the-air model updates: signed releases, what is fetched of them, and who takes them when."""
