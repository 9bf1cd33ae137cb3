"""Labelled images from a folder or a tar, `[…/]<split>/<class>/<file>`, as encoded bytes."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hawkvision.errors import DatasetError

_SUFFIXES = frozenset({".jpeg", ".jpg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One encoded image with the name of the class folder that it lay in."""

    data: bytes
    label: str
    name: str


@dataclass(frozen=True)
class LabelledSet:
    """A labelled set whose members are known and whose bytes are read on iteration.

    `labels` are the class folders in sorted order; `members` are (path, label), sorted by path.
    """

    source: Path
    labels: tuple[str, ...]
    members: tuple[tuple[str, str], ...]

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[LabelledImage]:
        """Yield the images; a tar is read once, front to back, in its own order."""
        if self.source.is_dir():
            for name, label in self.members:
                yield LabelledImage((self.source / name).read_bytes(), label, name)
            return
        wanted = dict(self.members)
        with tarfile.open(self.source) as archive:
            for member in archive:
                label_or_none = wanted.get(member.name)
                stream = archive.extractfile(member) if label_or_none is not None else None
                if stream is not None and label_or_none is not None:
                    yield LabelledImage(stream.read(), label_or_none, member.name)


def open_labelled(source: Path, split: str | None = None) -> LabelledSet:
    """Index a folder or tar of class folders.

    `split` names the folder above the class folders; without it any depth is taken, the class
    being an image's parent folder. Raises DatasetError where nothing fits.
    """
    if not source.exists():
        raise DatasetError(
            f"{source} does not exist", hint="Give a folder or a .tar[.gz] of class folders."
        )
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
    members: list[tuple[str, str]] = []
    splits: set[str] = set()
    for name in sorted(names):
        path = PurePosixPath(name)
        if path.suffix.lower() not in _SUFFIXES or len(path.parts) < 2:
            continue
        if len(path.parts) >= 3:
            splits.add(path.parts[-3])
        if split is None or (len(path.parts) >= 3 and path.parts[-3] == split):
            members.append((name, path.parts[-2]))
    if not members:
        found = f"splits found: {', '.join(sorted(splits)[:10])}" if splits else "no images found"
        wanted = f"split {split!r}" if split is not None else "class folders"
        raise DatasetError(
            f"no images for {wanted} in {source} ({found})",
            hint="The layout is <split>/<class>/<image>.",
        )
    labels = tuple(sorted({label for _, label in members}))
    return LabelledSet(source, labels, tuple(members))
