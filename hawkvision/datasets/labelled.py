"""Labelled images as encoded bytes: a folder or a tar, `[…/]<split>/<class>/<file>`, or parquet."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from hawkvision.errors import DatasetError

_SUFFIXES = frozenset({".jpeg", ".jpg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
_LAYOUT = "The layout is <split>/<class>/<image>."


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

    `labels` are the classes in sorted order; `members` are (name, label), sorted by name.
    """

    source: Path
    labels: tuple[str, ...]
    members: tuple[tuple[str, str], ...]
    read: Reader

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


def open_labelled(source: Path, split: str | None = None) -> LabelledSet:
    """Index a folder or tar of class folders, or parquet as Hugging Face data sets keep it.

    `split` names the folder above the class folders (of parquet: the start of the file names);
    without it any depth is taken, the class being an image's parent folder. Raises DatasetError
    where nothing fits.
    """
    if not source.exists():
        raise DatasetError(
            f"{source} does not exist",
            hint="Give a folder or .tar[.gz] of class folders, or .parquet files.",
        )
    from hawkvision.datasets import parquet

    files = parquet.find_files(source, split)
    if files:
        return parquet.open_parquet(source, files)
    if source.is_dir():
        names = [str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()]
    else:
        try:
            with tarfile.open(source) as archive:
                names = [member.name for member in archive if member.isfile()]
        except tarfile.TarError as error:
            raise DatasetError(
                f"{source} is not a tar: {error}", hint="Give a folder or a .tar[.gz]."
            ) from error
    members = _members(names, split, source)
    labels = tuple(sorted({label for _, label in members}))
    reader = _read_folder if source.is_dir() else _read_tar
    return LabelledSet(source, labels, tuple(members), reader)


def in_memory(images: Iterable[LabelledImage], labels: Iterable[str]) -> LabelledSet:
    """A set of images that lie in memory already; their names must differ."""
    kept = {image.name: image for image in images}

    def read(_source: Path, wanted: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
        yield from ((name, kept[name].data) for name in kept if name in wanted)

    members = tuple(sorted((image.name, image.label) for image in kept.values()))
    return LabelledSet(Path(), tuple(labels), members, read)


def _read_folder(source: Path, wanted: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    for name in wanted:
        yield name, (source / name).read_bytes()


def _read_tar(source: Path, wanted: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(source) as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.name in wanted else None
            if stream is not None:
                yield member.name, stream.read()


def _members(names: list[str], split: str | None, source: Path) -> list[tuple[str, str]]:
    members: list[tuple[str, str]] = []
    splits: set[str] = set()
    flat = 0
    for name in sorted(names):
        path = PurePosixPath(name)
        if path.suffix.lower() not in _SUFFIXES:
            continue
        if len(path.parts) < 2:
            flat += 1
            continue
        if len(path.parts) >= 3:
            splits.add(path.parts[-3])
        if split is None or (len(path.parts) >= 3 and path.parts[-3] == split):
            members.append((name, path.parts[-2]))
    if members:
        return members
    if flat:
        raise DatasetError(
            f"the {flat} images in {source} have no labels",
            hint=f"Put each into a folder named as its class. {_LAYOUT}",
        )
    found = f"splits found: {', '.join(sorted(splits)[:10])}" if splits else "no images found"
    wanted = f"split {split!r}" if split is not None else "class folders"
    raise DatasetError(f"no images for {wanted} in {source} ({found})", hint=_LAYOUT)
