"""What a route takes and answers, as types: the columns of the table that its description is of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, get_type_hints

from hawkvision.json_schema import Raw

JSON = "application/json"
OCTETS = "application/octet-stream"
BYTES, TEXT = Raw("bytes"), Raw("text")


@dataclass(frozen=True, slots=True)
class Shape:
    """`says` are the bodies of the answer `status` by media type; none: it has no body.

    `takes` are those of the request, which may be left out unless `needed`. `query` are the
    parameters by name. The values are what `contract.schema.Schemas.of` takes.
    """

    says: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    takes: Mapping[str, Any] = field(default_factory=dict)
    needed: bool = True
    query: Mapping[str, Any] = field(default_factory=dict)


def says(kind: Any, **more: Any) -> Shape:
    """A route that answers JSON."""
    return Shape({JSON: kind}, **more)


def query_of(kind: type) -> dict[str, Any]:
    """The fields of a dataclass of parameters, as `Shape.query` has them."""
    hints = get_type_hints(kind)
    return {one.name: one.metadata.get("json", hints[one.name]) for one in fields(kind)}
