"""JSON Schema (2020-12) made of the contract's own types: no description stands beside them.

A dataclass becomes an object with its fields. A field's `metadata` may say that it differs in JSON:
`MERGED`, its content stands among the others; or `json_type(...)`, the type that JSON has there.
A class may name what `as_dict` adds in `JSON_ALSO`, a mapping of names and types.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

Schema = dict[str, Any]
MERGED: Mapping[str, Any] = {"merged": True}
_PLAIN: Mapping[Any, str] = {str: "string", bool: "boolean", int: "integer", float: "number"}


def json_type(kind: Any) -> Mapping[str, Any]:
    """Metadata of a field that is another type in JSON than in Python."""
    return {"json": kind}


@dataclass(frozen=True)
class Listed:
    """An object whose key `name` holds a list of `kind`."""

    name: str
    kind: Any


@dataclass(frozen=True)
class Either:
    """One of these."""

    kinds: tuple[Any, ...]


@dataclass(frozen=True)
class Like:
    """Of the shape that these values have, which are made by the code that answers."""

    name: str
    samples: tuple[Any, ...]


@dataclass(frozen=True)
class Part:
    """A dataclass without these fields, in it and below, under a name of its own; `closed` where
    other keys are refused."""

    name: str
    kind: type
    without: frozenset[str] = frozenset()
    closed: bool = False


@dataclass(frozen=True)
class Raw:
    """No JSON: bytes, or a text."""

    form: Literal["bytes", "text"]


class Schemas:
    """Schemas that refer to each other by name; `named` collects those that have one."""

    def __init__(self) -> None:
        self.named: dict[str, Schema] = {}
        self._without: frozenset[str] = frozenset()

    def of(self, kind: Any) -> Schema:
        """The schema of a type, or of one of the shapes above. Raises TypeError for another."""
        if isinstance(kind, Listed):
            return _object({kind.name: {"type": "array", "items": self.of(kind.kind)}}, [kind.name])
        if isinstance(kind, Either):
            return {"anyOf": [self.of(one) for one in kind.kinds]}
        if isinstance(kind, Like):
            return self._named(kind.name, lambda: like(kind.samples))
        if isinstance(kind, Part):
            return self._part(kind)
        if isinstance(kind, Raw):
            return {"type": "string", **({"format": "binary"} if kind.form == "bytes" else {})}
        return self._of_type(kind)

    def _part(self, part: Part) -> Schema:
        before, self._without = self._without, self._without | part.without
        try:
            return self._named(part.name, lambda: self._fields(part.kind, closed=part.closed))
        finally:
            self._without = before

    def _named(self, name: str, make: Any) -> Schema:
        if name not in self.named:
            self.named[name] = {}  # what refers to itself ends here
            self.named[name] = make()
        return {"$ref": f"#/components/schemas/{name}"}

    def _of_type(self, kind: Any) -> Schema:
        if kind in _PLAIN:
            return {"type": _PLAIN[kind]}
        if kind is None or kind is types.NoneType:
            return {"type": "null"}
        if kind is Any:
            return {}
        origin, inner = get_origin(kind), get_args(kind)
        if origin in (types.UnionType, Union):
            return _united([self.of(one) for one in inner])
        if origin is Literal:
            return {"enum": list(inner)}
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return {"type": "object", "additionalProperties": self.of(inner[1])}
        if isinstance(origin, type) and issubclass(origin, Sequence):
            return {"type": "array", "items": self.of(inner[0])}
        if isinstance(kind, type) and issubclass(kind, Enum):
            return {"type": "string", "enum": [one.value for one in kind]}
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            if self._without:  # a part of it, so not the one that has this name
                return self._fields(kind)
            return self._named(kind.__name__, lambda: self._fields(kind))
        raise TypeError(f"{kind!r} has no JSON schema")

    def _fields(self, kind: type, *, closed: bool = False) -> Schema:
        hints = get_type_hints(kind, localns={"Json": Any})  # Json refers to itself
        found: dict[str, Schema] = {}
        needed: list[str] = []
        more = False
        for one in dataclasses.fields(kind):
            if one.name in self._without:
                continue
            said = one.metadata.get("json", hints[one.name])
            if one.metadata.get("merged"):
                inner, names = self._merged(said)
                found |= inner
                needed += names
                more = more or not inner
                continue
            found[one.name] = self.of(said)
            if one.default is one.default_factory is dataclasses.MISSING:
                needed.append(one.name)
        for name, said in getattr(kind, "JSON_ALSO", {}).items():
            found[name] = self.of(said)
            needed.append(name)
        schema = _object(found, needed)
        if closed and not more:
            schema["additionalProperties"] = False
        return {"description": _said_of(kind), **schema}

    def _merged(self, kind: Any) -> tuple[dict[str, Schema], list[str]]:
        """The properties of what stands among others, and which of them are always there."""
        options = get_args(kind) if get_origin(kind) is types.UnionType else (kind,)
        classes = [one for one in options if dataclasses.is_dataclass(one)]
        if not classes:
            return {}, []
        schema = self._fields(classes[0])  # type: ignore[arg-type]
        return schema["properties"], schema.get("required", []) if len(options) == 1 else []


def like(samples: Iterable[Any]) -> Schema:
    """The schema of values like these: what all of them have is needed."""
    values = list(samples)
    if values and all(isinstance(one, Mapping) for one in values):
        names = dict.fromkeys(name for one in values for name in one)
        return _object(
            {name: like([one[name] for one in values if name in one]) for name in names},
            [name for name in names if all(name in one for one in values)],
        )
    if values and all(isinstance(one, list | tuple) for one in values):
        inner = [each for one in values for each in one]
        return {"type": "array", **({"items": like(inner)} if inner else {})}
    return _united([{"type": _PLAIN.get(type(one), "null")} for one in values])


def _united(schemas: Sequence[Schema]) -> Schema:
    """Any of these: plain types in one list, each once."""
    unique = [one for index, one in enumerate(schemas) if one not in schemas[:index]]
    if len(unique) == 1:
        return unique[0]
    if all(set(one) == {"type"} for one in unique):
        return {"type": [one["type"] for one in unique]}
    return {"anyOf": unique}


def _object(properties: dict[str, Schema], needed: list[str]) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        **({"required": needed} if needed else {}),
    }


def _said_of(kind: type) -> str:
    return " ".join((inspect.getdoc(kind) or "").split())
