"""What the user says of one model: `small.onnx,labels=names.txt,normalize=imagenet,fit=stretch`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from hawkvision.errors import CalibrationError
from hawkvision.taskbuild.rows import ORDERS, Order

Fit = Literal["cover", "stretch"]
Channels = Literal["RGB", "BGR"]
Output = Literal["logits", "probabilities"]

_KEYS = (
    "labels",
    "normalize",
    "mean",
    "std",
    "size",
    "layout",
    "fit",
    "channels",
    "output",
    "name",
)
LARGEST_SIDE = 4096


@dataclass(frozen=True, slots=True)
class Normalization:
    """(pixel - mean) / std per channel, in 0…255 units."""

    name: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


NORMALIZATIONS = {
    item.name: item
    for item in (
        Normalization("imagenet", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
        Normalization("unit", (0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),
        Normalization("signed", (127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
        Normalization("pixels", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    )
}
"""Those of torchvision, 0…1, -1…1 and 0…255."""


@dataclass(frozen=True, slots=True)
class ModelSource:
    """One model file and what is known of it; None where it is to be found out.

    `output` is what the scores are, `output_name` the file's output that holds them; either word
    of the first may also be a name. `layout` is how an image was flattened for a model of rows.
    """

    path: Path
    labels: Path | None = None
    normalization: Normalization | None = None
    size: tuple[int, int] | None = None
    layout: Order | None = None
    fit: Fit | None = None
    channels: Channels | None = None
    output: Output | None = None
    output_name: str | None = None
    name: str | None = None


def parse_source(text: str) -> ModelSource:
    """Parse `FILE[,key=value…]`. Raises CalibrationError naming the key.

    Keys: labels=FILE, normalize=imagenet|unit|signed|pixels, or mean=R/G/B and std=R/G/B in 0…255
    units, size=SIDE or WxH, layout=HWC|CHW|grey, fit=cover|stretch, channels=RGB|BGR,
    output=logits|probabilities or the name of one of the file's outputs, name=NAME.
    """
    path, parts = _file_and_settings(text)
    given: dict[str, str] = {}
    for part in parts:
        key, separator, value = part.partition("=")
        if not separator or key not in _KEYS:
            raise CalibrationError(
                f"{part[:40]!r} is not a known setting of a model",
                hint=f"FILE[,key=value…] with the keys {', '.join(_KEYS)}.",
            )
        if key in given:
            raise CalibrationError(f"{key}= is given twice for {path[:80]}")
        given[key] = value
    if not path:
        raise CalibrationError("a model needs a file", hint="For example --edge small.onnx.")
    output = given.get("output")
    if output == "":
        raise CalibrationError("output= names none", hint="output=probabilities, or its name.")
    return ModelSource(
        path=Path(path),
        labels=Path(given["labels"]) if "labels" in given else None,
        normalization=_normalization(given),
        size=_size(given["size"]) if "size" in given else None,
        layout=_layout(given["layout"]) if "layout" in given else None,
        fit=cast(Fit, _choice("fit", given["fit"], ("cover", "stretch")))
        if "fit" in given
        else None,
        channels=cast(Channels, _choice("channels", given["channels"].upper(), ("RGB", "BGR")))
        if "channels" in given
        else None,
        output=cast(Output, output) if output in ("logits", "probabilities") else None,
        output_name=output,
        name=_name(given["name"]) if "name" in given else None,
    )


def _file_and_settings(text: str) -> tuple[str, list[str]]:
    """A file and what follows it; commas belong to the name of a file that is there."""
    path, rest = _file_first(text.split(","))
    settings: list[str] = []
    while rest:
        key, separator, value = rest[0].partition("=")
        if key == "labels" and separator:
            value, rest = _file_first([value, *rest[1:]])
            settings.append(f"labels={value}")
        else:
            settings.append(rest[0])
            rest = rest[1:]
    return path, settings


def _file_first(parts: list[str]) -> tuple[str, list[str]]:
    """As many parts as make the name of a file, or one; and the rest."""
    there = (end for end in range(len(parts), 1, -1) if Path(",".join(parts[:end])).is_file())
    end = next(there, 1)
    return ",".join(parts[:end]), parts[end:]


def _choice(key: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise CalibrationError(f"{key}={value[:40]} is not one of {', '.join(allowed)}")
    return value


def _layout(value: str) -> Order:
    for order in ORDERS:
        if order.lower() == value.lower():
            return order
    raise CalibrationError(
        f"layout={value[:40]} is not one of {', '.join(ORDERS)}",
        hint="How images were flattened to rows; of images the file itself says it.",
    )


def _name(value: str) -> str:
    if not value.isidentifier() or len(value) > 40:
        raise CalibrationError(f"name={value[:40]!r} must be letters, digits and underscores")
    return value


def _size(value: str) -> tuple[int, int]:
    sides = value.lower().split("x")
    if len(sides) in (1, 2) and all(
        side.isascii() and side.isdigit() and 0 < int(side[:5]) <= LARGEST_SIDE for side in sides
    ):
        return int(sides[0]), int(sides[-1])
    raise CalibrationError(
        f"size={value[:40]} is not a side in px", hint="size=224 or size=320x240."
    )


def _normalization(given: dict[str, str]) -> Normalization | None:
    if "normalize" in given:
        if "mean" in given or "std" in given:
            raise CalibrationError("give normalize=, or mean= and std=, not both")
        return NORMALIZATIONS[_choice("normalize", given["normalize"], tuple(NORMALIZATIONS))]
    if "mean" not in given and "std" not in given:
        return None
    mean = _channels("mean", given.get("mean", "0"))
    std = _channels("std", given.get("std", "1"))
    if min(std) <= 0:
        raise CalibrationError("std= must be above 0")
    return Normalization("given", mean, std)


def _channels(key: str, value: str) -> tuple[float, float, float]:
    try:
        numbers = [float(part) for part in value.split("/")]
    except ValueError:
        numbers = []
    if len(numbers) == 1:
        numbers *= 3
    if len(numbers) != 3 or not all(abs(number) < 1e6 for number in numbers):
        raise CalibrationError(
            f"{key}={value[:60]} is not R/G/B", hint=f"For example {key}=123.7/116.3/103.5."
        )
    return numbers[0], numbers[1], numbers[2]


def read_aliases(path: Path) -> dict[str, str]:
    """`{folder name: label}` from a JSON object. Raises CalibrationError."""
    try:
        raw = json.loads(path.read_text("utf-8-sig"))
        return {str(name): str(label) for name, label in raw.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise CalibrationError(
            f"{path} holds no aliases: {error}", hint='A JSON object, {"n01440764": "tench"}.'
        ) from error
