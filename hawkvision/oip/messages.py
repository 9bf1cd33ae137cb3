"""Inference of the Open Inference Protocol v2 as plain messages, whatever they travel in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

Scalar = bool | int | float | str
"""What a parameter may be."""

INPUT = "image"
"""The only input that there is."""


@dataclass(frozen=True, slots=True)
class InputTensor:
    """A tensor as it was sent: nothing of it is checked but that it is there.

    `raw` is the content as bytes (row-major, little-endian, BYTES with their lengths); else `data`
    holds the elements, flat or nested, for BYTES as text or bytes.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    raw: memoryview | None = None
    data: Sequence[Any] | None = None


@dataclass(frozen=True, slots=True)
class WantedOutput:
    """An output that is asked for, and whether as binary data."""

    name: str
    binary: bool = False


@dataclass(frozen=True, slots=True)
class InferRequest:
    """What a client asks. No `outputs` means all, as `binary` says."""

    inputs: tuple[InputTensor, ...]
    outputs: tuple[WantedOutput, ...] = ()
    id: str = ""
    parameters: Mapping[str, Scalar] = field(default_factory=dict)
    binary: bool = False


@dataclass(frozen=True, slots=True)
class OutputTensor:
    """A tensor of a reply; BYTES are an array of `bytes` objects, FP32 float32, BOOL bool."""

    name: str
    datatype: str
    values: npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class InferReply:
    """What a client is answered; `id` is the request's."""

    model: str
    version: str
    outputs: tuple[OutputTensor, ...]
    id: str = ""
    parameters: Mapping[str, Scalar] = field(default_factory=dict)
