"""The one order of images that says nothing of what they show: by the hash of their names.

Splits and limits are cut from it, so that they mix classes, do not depend on how files are listed,
and stay the same when images are added elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import PurePath

Member = tuple[str, str]
"""An image's name in its source, and its label."""


def name_hash(name: str) -> bytes:
    """SHA-256 of a file's name, without the folders above it."""
    return hashlib.sha256(_bytes(PurePath(name).name)).digest()


def _bytes(text: str) -> bytes:
    """UTF-8, also of a file's name that is none itself."""
    return text.encode("utf-8", "surrogatepass")


def by_name(members: Iterable[Member]) -> list[Member]:
    """Members in the order of their names' hashes."""
    return sorted(members, key=lambda member: name_hash(member[0]))


def rank(member: Member) -> bytes:
    """Sort key: the hash of name and label, blind to folders and to what is shown."""
    return hashlib.sha256(_bytes(PurePath(member[0]).name) + _bytes(member[1])).digest()


def by_name_and_label(members: Iterable[Member]) -> list[Member]:
    """As `by_name`; images of different labels that share a name are told apart."""
    return sorted(members, key=rank)


def thirds(members: Sequence[Member]) -> tuple[list[Member], list[Member]]:
    """Two thirds and one third of the members, by name: to calibrate with, and to report on."""
    ranked = by_name(members)
    border = 2 * len(ranked) // 3
    return ranked[:border], ranked[border:]
