"""Folders and tars of class folders: `[…/]<split>/<class>/<file>`."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from hawkvision.datasets.types import LabelledSet
from hawkvision.errors import DatasetError
from hawkvision.formats import OTHER_SUFFIXES, READABLE, SUFFIXES

_LAYOUT = "The layout is <split>/<class>/<image>."


def open_files(source: Path, split: str | None) -> LabelledSet:
    """Index a folder or a tar. Raises DatasetError where nothing fits."""
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
    flat = others = 0
    for name in sorted(names):
        path = PurePosixPath(name)
        if path.suffix.lower() not in SUFFIXES:
            others += path.suffix.lower() in OTHER_SUFFIXES
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
    if others and not splits:
        raise DatasetError(
            f"the {others} images in {source} are in formats that are not read",
            hint=f"Convert them to {READABLE}.",
        )
    found = f"splits found: {', '.join(sorted(splits)[:10])}" if splits else "no images found"
    wanted = f"split {split!r}" if split is not None else "class folders"
    raise DatasetError(f"no images for {wanted} in {source} ({found})", hint=_LAYOUT)
