"""What talks to the accelerator: driver, PYNQ board, simulated board, the worker process.

It runs with the board's own Python too (3.10, numpy 1, pynq), so nothing here imports anything but
the standard library, numpy, the messages of `hawkvision.engines.worker` and, in one file, pynq.
"""
