"""How a model's images were prepared, as Hugging Face's `preprocessor_config.json` says it.

The fields are those of the image processors of `transformers`: resize, crop, rescale, normalise, in
this order. What has no counterpart here is named in a note, never silently taken for another thing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hawkvision.taskbuild.beside import beside
from hawkvision.taskbuild.inspect import ModelFacts
from hawkvision.taskbuild.sources import (
    LARGEST_SIDE,
    NORMALIZATIONS,
    Channels,
    Fit,
    ModelSource,
    Normalization,
)

NAME = "preprocessor_config.json"
_MOST_BYTES = 1024 * 1024
_RESCALE = 1 / 255
_CONVNEXT_CROP = 224 / 256
_RESAMPLING = {0: "nearest", 1: "lanczos", 3: "bicubic", 4: "box", 5: "hamming"}
_BILINEAR = 2
_UNSUPPORTED = ("do_pad", "do_thumbnail", "do_align_long_axis", "do_grayscale", "rescale_offset")
_SAME = 0.01
"""Grey values of 255 by which means and deviations are still one of the known ones."""


class _Fault(ValueError):
    """What is wrong with a file, with the field."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What a file states; None where it states nothing.

    `crop` is the share of the resized image that the centre crop keeps; `ignored` names what has
    no counterpart here.
    """

    normalization: Normalization | None = None
    size: tuple[int, int] | None = None
    fit: Fit | None = None
    channels: Channels | None = None
    ignored: tuple[str, ...] = ()


def stated(
    rung: str, source: ModelSource, facts: ModelFacts
) -> tuple[ModelSource, tuple[str, ...]]:
    """What the user says of a model, with what the file beside it states for the rest; and notes.

    Whatever the user or the model's own file says counts for more. A file that cannot be used is a
    note: nobody named it.
    """
    path = next(beside(source.path, NAME), None)
    if path is None:
        return source, ()
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise _Fault(f"it is larger than {_MOST_BYTES // 2**20} MiB")
        found = parse_preprocessing(json.loads(path.read_text("utf-8-sig")))
    except (OSError, ValueError, RecursionError) as error:
        return source, (f"{rung}: {NAME} is not used: {_line(error)}",)
    return _combined(rung, source, facts, found)


def _combined(
    rung: str, source: ModelSource, facts: ModelFacts, found: Preprocessing
) -> tuple[ModelSource, tuple[str, ...]]:
    said: list[str] = []
    ignored = list(found.ignored)
    taken = source
    if found.normalization is not None and source.normalization is None:
        if facts.dtype == "uint8":
            ignored.append("mean and std (the model takes uint8 pixels)")
        else:
            taken = replace(taken, normalization=found.normalization)
            said.append(_named(found.normalization))
    if found.size is not None and source.size is None:
        if _contradicts(found.size, facts):
            ignored.append(
                f"size {found.size[0]}x{found.size[1]} (the model takes "
                f"{facts.width or '?'}x{facts.height or '?'})"
            )
        elif facts.width is None or facts.height is None:
            taken = replace(taken, size=found.size)
            said.append(f"size {found.size[0]}x{found.size[1]}")
    if found.fit is not None and source.fit is None:
        taken = replace(taken, fit=found.fit)
        said.append(f"fit {found.fit}")
    if found.channels is not None and source.channels is None:
        taken = replace(taken, channels=found.channels)
        said.append(f"channels {found.channels}")
    notes = [f"{rung}: {NAME} says {', '.join(said)}"] if said else []
    if ignored:
        notes.append(f"{rung}: not used of {NAME}: {', '.join(ignored)}")
    return taken, tuple(notes)


def _contradicts(size: tuple[int, int], facts: ModelFacts) -> bool:
    return any(
        own not in (None, stated)
        for own, stated in zip((facts.width, facts.height), size, strict=True)
    )


def _named(found: Normalization) -> str:
    if found.name in NORMALIZATIONS:
        return f"normalisation {found.name!r}"
    mean, std = ("/".join(f"{one:.6g}" for one in part) for part in (found.mean, found.std))
    return f"mean {mean}, std {std} (in 0…255)"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def parse_preprocessing(raw: Any) -> Preprocessing:
    """From the file's JSON. Raises ValueError naming the field that cannot be right."""
    if not isinstance(raw, Mapping):
        raise _Fault("it is no JSON object")
    ignored = [key for key in _UNSUPPORTED if _flag(raw, key, default=False)]
    if "rescale_offset" in ignored:
        raise _Fault("rescale_offset is not supported; give normalize=, or mean= and std=")
    size, fit, crop = _geometry(raw)
    if crop is not None and abs(crop - 1) > 0.005:
        ignored.append(f"the centre crop of {crop:.1%} (all of the {fit} image is taken)")
    resample = raw.get("resample")
    if resample not in (None, _BILINEAR):
        if type(resample) is not int or resample not in _RESAMPLING:
            raise _Fault(f"resample {str(resample)[:40]} is none of Pillow's numbers")
        ignored.append(f"resample {resample} ({_RESAMPLING[resample]}; bilinear and area here)")
    normalization = _normalization(raw)
    flipped = _flag(raw, "do_flip_channel_order", default=False)
    if flipped and normalization is not None:  # theirs turn colours round last, engines here first
        normalization = replace(
            normalization, mean=normalization.mean[::-1], std=normalization.std[::-1]
        )
    return Preprocessing(normalization, size, fit, "BGR" if flipped else None, tuple(ignored))


def _normalization(raw: Mapping[str, Any]) -> Normalization | None:
    """(pixel · rescale_factor - image_mean) / image_std, in 0…255 units."""
    keys = ("image_mean", "image_std", "do_normalize", "do_rescale", "rescale_factor")
    if not any(key in raw for key in keys):
        return None
    scale = 1.0
    if _flag(raw, "do_rescale", default=True):
        scale = _number("rescale_factor", raw.get("rescale_factor", _RESCALE))
        if scale <= 0:
            raise _Fault("rescale_factor is not above 0")
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if _flag(raw, "do_normalize", default="image_mean" in raw):
        mean, std = _channels(raw, "image_mean"), _channels(raw, "image_std")
        if min(std) <= 0:
            raise _Fault("image_std is not above 0")
    found = Normalization("stated", _scaled(mean, scale), _scaled(std, scale))
    return next((known for known in NORMALIZATIONS.values() if _equal(known, found)), found)


def _scaled(values: tuple[float, float, float], scale: float) -> tuple[float, float, float]:
    red, green, blue = (round(value / scale, 6) for value in values)
    return red, green, blue


def _equal(one: Normalization, other: Normalization) -> bool:
    pairs = zip((*one.mean, *one.std), (*other.mean, *other.std), strict=True)
    return all(abs(left - right) <= _SAME for left, right in pairs)


def _geometry(raw: Mapping[str, Any]) -> tuple[tuple[int, int] | None, Fit | None, float | None]:
    """The input's (width, height), how images are made to fit, and the share that is kept."""
    cropped = None
    if _flag(raw, "do_center_crop", default="crop_size" in raw):
        cropped = _sides("crop_size", raw.get("crop_size", raw.get("size")))
    if not _flag(raw, "do_resize", default="size" in raw) or "size" not in raw:
        return cropped, None if cropped is None else "cover", None
    size = raw["size"]
    if isinstance(size, Mapping) and "shortest_edge" in size:
        shortest = _side("size", size["shortest_edge"])
    elif isinstance(size, Mapping) or (cropped is None and "crop_pct" not in raw):
        whole = _sides("size", size)
        if cropped is None:
            return whole, "stretch", None
        return cropped, "stretch", max(cropped[0] / whole[0], cropped[1] / whole[1])
    else:
        shortest = _side("size", size)  # as older versions wrote it
    if cropped is not None:
        return cropped, "cover", min(cropped) / shortest
    if "crop_pct" in raw and shortest < 384:  # ConvNeXT's own rule
        share = _number("crop_pct", raw["crop_pct"] or _CONVNEXT_CROP)
        return (shortest, shortest), "cover", share
    return (shortest, shortest), "stretch" if "crop_pct" in raw else "cover", None


def _sides(key: str, value: Any) -> tuple[int, int]:
    if isinstance(value, Mapping):
        if not {"width", "height"} <= set(value):
            raise _Fault(f"{key} has the keys {', '.join(map(str, value))[:60]}, no width, height")
        return _side(key, value["width"]), _side(key, value["height"])
    if isinstance(value, list) and len(value) == 2:
        return _side(key, value[1]), _side(key, value[0])  # [height, width]
    return _side(key, value), _side(key, value)


def _side(key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= LARGEST_SIDE:
        raise _Fault(f"{key} {str(value)[:40]} is not a side in px")
    return value


def _flag(raw: Mapping[str, Any], key: str, *, default: bool) -> bool:
    value = raw.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise _Fault(f"{key} {str(value)[:40]} is neither true nor false")
    return value


def _number(key: str, value: Any) -> float:
    usual = isinstance(value, int | float) and not isinstance(value, bool)
    if not usual or not math.isfinite(value) or abs(value) > 1e6:
        raise _Fault(f"{key} {str(value)[:40]} is no usual number")
    return float(value)


def _channels(raw: Mapping[str, Any], key: str) -> tuple[float, float, float]:
    value = raw.get(key)
    values = value if isinstance(value, list) else [value]
    if len(values) == 1:
        values = values * 3
    if len(values) != 3:
        raise _Fault(f"{key} has {len(values)} numbers, not one for each of R, G, B")
    red, green, blue = (_number(key, one) for one in values)
    return red, green, blue
