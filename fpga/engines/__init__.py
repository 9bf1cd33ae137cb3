"""Engines that run a plan: simulated hardware, and a board under PYNQ."""
