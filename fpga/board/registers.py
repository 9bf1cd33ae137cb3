"""The control registers of the accelerator: byte offsets on its AXI-Lite port, 32 bits each.

Nothing is imported here.
"""

ID = 0x00
"""`IDENTITY`, so that a driver finds out that it talks to something else."""
VERSION = 0x04
"""Of this register map: major in the upper half, minor in the lower."""
STATUS = 0x08
"""Bits `BUSY` and `MISFRAMED`."""
CONTROL = 0x0C
"""Writing `RESET` empties the network and clears errors and counters; reads as zero."""
LATENCY = 0x10
"""Cycles of the last picture, from its first word in to its last logit out."""
INTERVAL = 0x14
"""Cycles between the last logits of the last two pictures."""
PICTURES = 0x18
"""Pictures answered since the last reset, modulo 2^32."""
SCRATCH = 0x1C
"""Keeps what is written, for tests of the bus."""
SIDE = 0x20
"""Width and height of a picture in pixels."""
CLASSES = 0x24
"""Logits for each picture."""
DIGEST = 0x28
"""The first 32 bits of the SHA-256 of the network that was built in."""
CYCLES = 0x2C
"""Free-running, modulo 2^32."""

IDENTITY = 0x4857_4B56
CURRENT_VERSION = 0x0001_0000
BUSY = 1
MISFRAMED = 2
"""A packet ended inside a picture, or with a partial word. Sticky; a reset clears it."""
RESET = 1
