"""Folders and tars of class folders: `[…/]<split>/<class>/<file>`."""

from __future__ import annotations

import lzma
import os
import posixpath
import tarfile
import unicodedata
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from hawkvision.datasets.splits import Found, chosen
from hawkvision.datasets.types import LabelledSet
from hawkvision.errors import DatasetError
from hawkvision.formats import OTHER_SUFFIXES, READABLE, SUFFIXES

_LAYOUT = "The layout is <split>/<class>/<image>."
_MOST_BYTES = 256 * 1024 * 1024
_MOST_LINKS = 40
_BROKEN = (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError)
_BESIDE = frozenset({"__MACOSX", "@eaDir", "lost+found"})
"""Folders that systems leave beside what people keep."""


@dataclass
class _Listing:
    """What lies in a source: sizes of files by name, and what was noticed."""

    sizes: dict[str, int] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)
    dead_links: int = 0
    targets: dict[str, list[str]] = field(default_factory=dict)
    """In a tar, the names under which each member's bytes are known."""


def open_files(source: Path, split: str | None) -> LabelledSet:
    """Index a folder or a tar. Raises DatasetError where nothing fits, or too much."""
    listing = _list_folder(source) if source.is_dir() else _list_tar(source)
    images, flat, unread = [], 0, 0
    for name in sorted(listing.sizes):
        path = PurePosixPath(name)
        if _hidden(path):
            continue
        if path.suffix.lower() not in SUFFIXES:
            unread += path.suffix.lower() in OTHER_SUFFIXES
            continue
        if len(path.parts) < 2:
            flat += 1
            continue
        images.append(Found(name, str(path.parent.parent), _label(path, source)))
    if not images and flat:
        raise DatasetError(
            f"the {flat} images in {source} have no labels",
            hint=f"Put each into a folder named as its class. {_LAYOUT}",
        )
    if not images and unread:
        raise DatasetError(
            f"the {unread} images in {source} are in formats that are not read",
            hint=f"Convert them to {READABLE}.",
        )
    found = chosen(images, split, source)
    notes = list(found.notes)
    taken = {f"{folder}/" for folder in found.folders if folder != "."}
    empty = [
        PurePosixPath(name).name
        for name in listing.empty
        if f"{PurePosixPath(name).parent}/" in taken or "." in found.folders
    ]
    if empty:
        notes.append(f"class folders without images: {', '.join(sorted(empty)[:10])}")
    if unread:
        notes.append(f"{unread} images in formats that are not read ({READABLE} are) were left out")
    if listing.dead_links:
        notes.append(f"{listing.dead_links} links lead nowhere and were left out")

    def read_tar(path: Path, wanted: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
        return _read_tar(path, wanted, listing.targets)

    return LabelledSet(
        source,
        tuple(sorted({label for _, label in found.members})),
        found.members,
        _read_folder if source.is_dir() else read_tar,
        others=found.others,
        sizes=listing.sizes,
        notes=tuple(notes),
    )


def _label(path: PurePosixPath, source: Path) -> str:
    """The class of an image: the name of its folder, in one form of Unicode whatever wrote it."""
    label = unicodedata.normalize("NFC", path.parent.name)
    try:
        label.encode()
    except UnicodeEncodeError as error:
        raise DatasetError(
            f"{source} has a class folder whose name is no UTF-8: {label!r}",
            hint="Rename it; labels are text.",
        ) from error
    return label


def _hidden(path: PurePosixPath) -> bool:
    """Whether a name, or a folder above it, is one that systems hide: .DS_Store, ._photo.jpg."""
    return any(part.startswith(".") or part in _BESIDE for part in path.parts)


def _list_folder(source: Path) -> _Listing:
    """All files below a folder; links are followed, but never round in a circle."""
    found = _Listing()
    waiting = [(source, frozenset({source.resolve()}))]
    while waiting:
        folder, above = waiting.pop()
        inside = 0
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda one: one.name):
                path = Path(entry.path)
                name = path.relative_to(source).as_posix()
                if _hidden(PurePosixPath(name)):
                    continue
                inside += 1
                if entry.is_dir():
                    real = path.resolve()
                    if real not in above:
                        waiting.append((path, above | {real}))
                elif entry.is_file():
                    found.sizes[name] = entry.stat().st_size
                elif entry.is_symlink():
                    found.dead_links += 1
        if not inside and folder != source:
            found.empty.append(folder.relative_to(source).as_posix())
    return found


def _list_tar(source: Path) -> _Listing:
    """All files of a tar, hard and symbolic links within it resolved. Raises DatasetError."""
    found = _Listing()
    links: dict[str, str] = {}
    folders: set[str] = set()
    try:
        with tarfile.open(source) as archive:
            for member in archive:
                name = _plain(member.name, source)
                if member.isfile():
                    found.sizes[name] = member.size
                elif member.isdir():
                    folders.add(name)
                elif member.islnk():
                    links[name] = _plain(member.linkname, source)
                elif member.issym():
                    target = posixpath.join(posixpath.dirname(name), member.linkname)
                    links[name] = posixpath.normpath(target)
    except _BROKEN as error:
        raise DatasetError(
            f"{source} is not a tar, or not a whole one: {error}",
            hint="Give a folder or a .tar[.gz]; unpack other archives first.",
        ) from error
    files = dict(found.sizes)
    found.targets = {name: [name] for name in files}
    for name in links:
        target = name
        for _ in range(_MOST_LINKS):
            if target not in links:
                break
            target = links[target]
        if target in files:
            found.sizes[name] = files[target]
            found.targets[target].append(name)
        else:
            found.dead_links += 1
    above = {str(parent) for name in found.sizes for parent in PurePosixPath(name).parents}
    found.empty = sorted(folders - above - {"."})
    return found


def _plain(name: str, source: Path) -> str:
    """A member's name without `./`. Raises DatasetError for one that leads out of the tar."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise DatasetError(
            f"{source} holds {name[:200]!r}, a path that leads out of it",
            hint="Pack it again from the folder above the images: tar czf set.tar.gz -C FOLDER .",
        )
    return str(path)


def _read_folder(source: Path, wanted: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    for name in wanted:
        with (source / name).open("rb") as stream:
            yield name, stream.read(_MOST_BYTES)


def _read_tar(
    source: Path, wanted: Mapping[str, str], targets: Mapping[str, list[str]]
) -> Iterator[tuple[str, bytes]]:
    left = {name: list(names) for name, names in targets.items()}
    with tarfile.open(source) as archive:
        for member in archive:
            if not member.isfile():
                continue
            names = [name for name in left.pop(_plain(member.name, source), ()) if name in wanted]
            stream = archive.extractfile(member) if names else None
            if stream is not None:
                data = stream.read(_MOST_BYTES)
                for name in names:
                    yield name, data
