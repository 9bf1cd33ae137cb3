"""Baseline JPEG in parts: scans, restart intervals, rebuilding, concealment."""
