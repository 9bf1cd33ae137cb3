"""The orientation in an EXIF block, and turning pixels by it.

Source: CIPA DC-008 (EXIF 2.32), tag 0x0112, in the first directory of a TIFF structure.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_ORIENTATION = 0x0112
_SHORT = 3
_MOST_ENTRIES = 1000
_HEADER = b"Exif\x00\x00"


def orientation(block: bytes) -> int:
    """1 to 8 as an EXIF block says, with or without its `Exif` header; 1 where it is broken."""
    tiff = block.removeprefix(_HEADER)
    order = {b"II*\x00": "little", b"MM\x00*": "big"}.get(tiff[:4])
    if order is None:
        return 1

    def number(at: int, size: int) -> int:
        return int.from_bytes(tiff[at : at + size], "little" if order == "little" else "big")

    start = number(4, 4)
    entries = min(number(start, 2), _MOST_ENTRIES)
    for at in range(start + 2, min(start + 2 + 12 * entries, len(tiff) - 11), 12):
        if number(at, 2) == _ORIENTATION:
            found = number(at + 8, 2) if number(at + 2, 2) == _SHORT else number(at + 8, 4)
            return found if 1 <= found <= 8 else 1
    return 1


def turns(orientation: int) -> bool:
    """Whether width and height change places."""
    return orientation >= 5


def upright(image: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """Pixels [H,W,3] as a viewer shows them; a copy where anything changes."""
    if orientation == 1:
        return image
    if turns(orientation):
        image = image.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return np.ascontiguousarray(image)
