"""A real deployment under hostile clients: `python -m tests.attack`; see docs/security.md."""
