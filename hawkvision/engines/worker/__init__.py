"""Engines whose libraries live under another Python: one process there, messages over a pipe.

`frames` and `pipes` run on both sides, so they take what Python 3.8 has and import the standard
library alone; `process` is the side of HawkVision.
"""
