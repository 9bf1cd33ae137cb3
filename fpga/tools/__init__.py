"""Simulate, size and measure designs."""
