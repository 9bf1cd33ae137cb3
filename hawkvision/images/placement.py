"""Where a network's input lies in the image that was sent: what maps boxes back to source pixels.

Coordinates run right and down from the upper left corner of the upper left pixel, so that a pixel's
centre lies at a half.
"""

from __future__ import annotations

from dataclasses import dataclass

from hawkvision.images.geometry import InputGeometry, crop_of


@dataclass(frozen=True, slots=True)
class Placement:
    """`source = network * scale + offset`, for x and y on their own; px of the upright image."""

    scale_x: float = 1.0
    scale_y: float = 1.0
    offset_x: float = 0.0
    offset_y: float = 0.0

    def to_source(self, x: float, y: float) -> tuple[float, float]:
        """A point of the network's input in px of the image as it was sent, upright."""
        return x * self.scale_x + self.offset_x, y * self.scale_y + self.offset_y

    def to_network(self, x: float, y: float) -> tuple[float, float]:
        """A point of the image as it was sent, upright, in px of the network's input."""
        return (x - self.offset_x) / self.scale_x, (y - self.offset_y) / self.scale_y

    def within(self, outer: Placement) -> Placement:
        """This one, of an image that itself lies in a larger one as `outer` says."""
        return Placement(
            self.scale_x * outer.scale_x,
            self.scale_y * outer.scale_y,
            *outer.to_source(self.offset_x, self.offset_y),
        )


def reduced(width: int, height: int, full_width: int, full_height: int) -> Placement:
    """Of an image of width x height px that was decoded from a larger one."""
    return Placement(full_width / width, full_height / height)


def fitted(width: int, height: int, geometry: InputGeometry) -> Placement:
    """Of what `fit` makes of an image of width x height px."""
    left, top, crop_width, crop_height = crop_of(width, height, geometry)
    return Placement(crop_width / geometry.width, crop_height / geometry.height, left, top)
