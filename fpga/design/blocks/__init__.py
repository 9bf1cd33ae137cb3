"""Hardware blocks (Amaranth): each streams one value a cycle at most, with valid and ready.

A value crosses where both are high. A block never waits for `ready` before it raises `valid`, and
values of a picture come row by row, pixel by pixel, channel by channel.
"""
