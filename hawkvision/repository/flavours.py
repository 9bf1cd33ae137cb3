"""Flavours in a `task.toml`: what differs for one engine, laid over the plain task's own table.

```toml
[[rungs]]
name = "edge"
file = "edge.onnx"

[rungs.flavours.tensorrt]   # whatever is not said here is as above
file = "edge.tensorrt.onnx"

[flavours.tensorrt.calibration]
file = "calibration.tensorrt.npz"
```
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_CERTIFICATE = ("calibration", "numerics")


def flavour_tables(raw: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The whole table of each flavour. Raises ValueError or TypeError for what is no flavour."""
    names = set(dict(raw.get("flavours", {})))
    for rung in raw["rungs"]:
        names |= set(dict(rung.get("flavours", {})))
    if wrong := sorted(name for name in names if not _NAME.fullmatch(name)):
        raise ValueError(f"{wrong[0][:80]!r} is no name of a flavour")
    found = {}
    for name in sorted(names):
        certificate = dict(dict(raw.get("flavours", {})).get(name, {}))
        if unknown := sorted(set(certificate) - set(_CERTIFICATE)):
            raise ValueError(f"flavours.{name} has an unknown key {unknown[0]!r}")
        rungs = [{**rung, **dict(rung.get("flavours", {})).get(name, {})} for rung in raw["rungs"]]
        found[name] = {**raw, **certificate, "rungs": rungs}
    return found


def add_flavours(raw: dict[str, Any], flavours: Mapping[str, Mapping[str, Any]]) -> None:
    """Lay tables of flavours over a plain one: what `flavour_tables` reads."""
    for name, table in flavours.items():
        for rung, other in zip(raw["rungs"], table["rungs"], strict=True):
            plain = {key: it for key, it in rung.items() if key != "flavours"}
            different = {key: it for key, it in other.items() if plain.get(key) != it}
            different |= {key: type(plain[key])() for key in plain.keys() - other.keys()}
            if different:
                rung.setdefault("flavours", {})[name] = different
        certificate = {key: table[key] for key in _CERTIFICATE if table.get(key) != raw.get(key)}
        raw.setdefault("flavours", {})[name] = certificate
