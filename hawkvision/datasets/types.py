"""Labelled images as encoded bytes: one image, and a set whose bytes are read on iteration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One encoded image with the name of the class folder that it lay in."""

    data: bytes
    label: str
    name: str


Reader = Callable[[Path, Mapping[str, str]], Iterator[tuple[str, bytes]]]
"""Yields (name, bytes) of the wanted members of a source, in the source's own order."""


@dataclass(frozen=True)
class LabelledSet:
    """A labelled set whose members are known and whose bytes are read on iteration.

    `labels` are the classes in sorted order; `members` are (name, label), sorted by name; `others`
    those of other splits, that this set is not (in parquet without their labels). `sizes` of both
    are in bytes, where they are known without reading. `notes` say what was noticed.
    """

    source: Path
    labels: tuple[str, ...]
    members: tuple[tuple[str, str], ...]
    read: Reader
    others: tuple[tuple[str, str], ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[LabelledImage]:
        """Yield the images; a tar or parquet file is read once, front to back."""
        wanted = dict(self.members)
        for name, data in self.read(self.source, wanted):
            yield LabelledImage(data, wanted[name], name)

    def part(self, members: Iterable[tuple[str, str]]) -> LabelledSet:
        """The same set with only these members."""
        return replace(self, members=tuple(sorted(members)))


def in_memory(images: Iterable[LabelledImage], labels: Iterable[str]) -> LabelledSet:
    """A set of images that lie in memory already; their names must differ."""
    kept = {image.name: image for image in images}

    def read(_source: Path, wanted: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
        yield from ((name, kept[name].data) for name in kept if name in wanted)

    members = tuple(sorted((image.name, image.label) for image in kept.values()))
    return LabelledSet(Path(), tuple(labels), members, read)
