"""Emulated links: a model of rate, queue, delay, jitter and loss, and ways to put traffic on it."""
