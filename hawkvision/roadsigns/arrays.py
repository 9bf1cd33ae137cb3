"""Array types shared by the renderer: 8-bit images and float32 fields."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Field = npt.NDArray[np.float32]
Color = tuple[int, int, int]
Point = tuple[float, float]
