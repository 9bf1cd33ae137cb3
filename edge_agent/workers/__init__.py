"""Several agents behind the same ports: what their parent has for them, and how each begins."""
