"""The catalogue: 36 sign classes of the Vienna Convention, in label order."""

from __future__ import annotations

SPEED_LIMITS: tuple[int, ...] = (20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120, 130)

CLASSES: tuple[str, ...] = (
    *(f"speed_limit_{limit}" for limit in SPEED_LIMITS),
    "stop",
    "yield",
    "no_entry",
    "no_vehicles",
    "no_overtaking",
    "no_parking",
    "no_stopping",
    "end_of_restrictions",
    "priority_road",
    "end_of_priority_road",
    "keep_right",
    "keep_left",
    "turn_right_ahead",
    "turn_left_ahead",
    "straight_ahead",
    "roundabout",
    "general_warning",
    "bend_left",
    "bend_right",
    "crossroads",
    "road_narrows",
    "traffic_signals",
    "pedestrian_crossing",
    "parking",
)
"""Class labels; the position of a label is its `class_id`."""


def check_class_id(class_id: int) -> None:
    """Raise ValueError unless `class_id` is the index of a label in `CLASSES`."""
    if not 0 <= class_id < len(CLASSES):
        raise ValueError(f"class_id must be in 0..{len(CLASSES) - 1}, got {class_id}")
