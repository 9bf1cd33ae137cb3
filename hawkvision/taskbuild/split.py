"""Which labelled images fit and which certify. Pure: names and labels decide, nothing they show."""

from __future__ import annotations

from hawkvision.datasets import LabelledSet, order
from hawkvision.errors import CalibrationError

LEAST_IMAGES = 100
FIT_EVERY = 7
CHOOSE_EVERY = 3
"""A third of the images where a chain is chosen by them: a seventh misjudges candidates."""

_LEAST_FITTED = 50


def split_images(
    images: LabelledSet, limit: int | None, every: int = FIT_EVERY
) -> tuple[LabelledSet, LabelledSet]:
    """Images that fit temperatures and choices, and images that certify; no image is in both.

    Drawn by the hash of the names: one in `every` fits, at least 50. Raises CalibrationError where
    there are fewer than 100 in all.
    """
    ranked = order.by_name_and_label(images.members)[:limit]
    if len(ranked) < LEAST_IMAGES:
        raise CalibrationError(
            f"{len(ranked)} labelled images are too few to certify anything",
            hint=f"At least {LEAST_IMAGES} are needed; about 1,000 is a good start. The rungs must "
            "not have been trained on them.",
        )
    fitted = max(_LEAST_FITTED, len(ranked) // every)
    return images.part(ranked[:fitted]), images.part(ranked[fitted:])
