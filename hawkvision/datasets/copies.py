"""Images that a set shares with the other splits of its source: the same bytes."""

from __future__ import annotations

import hashlib

from hawkvision.datasets.types import LabelledSet


def copies_elsewhere(images: LabelledSet) -> dict[str, str]:
    """The names of images that other splits hold too, each with a name there; by SHA-256.

    Only files of one size are read; all, where sizes are not known without reading (parquet).
    """
    if not images.others:
        return {}
    sizes = images.sizes
    here = {sizes[name] for name, _ in images.members if name in sizes}
    both = here & {sizes[name] for name, _ in images.others if name in sizes}
    mine = {name for name, _ in images.members}
    wanted = {
        name: label
        for name, label in sorted((*images.members, *images.others))
        if name not in sizes or sizes[name] in both
    }
    if not wanted:
        return {}
    found: dict[bytes, tuple[list[str], list[str]]] = {}
    for name, data in images.read(images.source, wanted):
        pair = found.setdefault(hashlib.sha256(data).digest(), ([], []))
        pair[0 if name in mine else 1].append(name)
    return {name: there[0] for here_too, there in found.values() if there for name in here_too}


def remark_on(copies: dict[str, str]) -> str:
    """What to say of them."""
    name, other = next(iter(sorted(copies.items())))
    return (
        f"{len(copies)} images stand in another split too, byte for byte: first {name}, which is "
        f"{other}; a model that was trained on that split has seen them"
    )
