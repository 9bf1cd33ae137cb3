"""Which of the folders above the classes is meant: `train`, `val`, … are never mixed unasked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hawkvision.errors import DatasetError

_MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class Found:
    """An image: its name in the source, the folder above its class ('.' for none), its class."""

    name: str
    folder: str
    label: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """The images that are meant and those of other splits, as (name, label), and their folders."""

    members: tuple[tuple[str, str], ...]
    others: tuple[tuple[str, str], ...]
    folders: tuple[str, ...]
    notes: tuple[str, ...]


def chosen(images: Sequence[Found], split: str | None, source: Path) -> Chosen:
    """The images of `split`: a folder above class folders, by its name or the end of its path.

    Several are taken together where they are named, `a,b`; `.` is the source itself. Without a
    split, or where it names several folders, these must not hold the same classes. Raises
    DatasetError, listing the folders.
    """
    classes: dict[str, set[str]] = {}
    for image in images:
        classes.setdefault(image.folder, set()).add(image.label)
    if split is None:
        folders = set(classes)
        _one_each(folders, classes, images, source)
    else:
        folders = set()
        for part in [split] if _named(split, classes) else split.split(","):
            named = _named(part.strip(), classes)
            if not named:
                listed = ", ".join(sorted(classes)[:_MOST_NAMED]) or "no images"
                raise DatasetError(
                    f"no images for split {part.strip()!r} in {source} (splits found: {listed})",
                    hint="The layout is <split>/<class>/<image>.",
                )
            _one_each(named, classes, images, source)
            folders |= named
    members = tuple((image.name, image.label) for image in images if image.folder in folders)
    others = tuple((image.name, image.label) for image in images if image.folder not in folders)
    if not members:
        raise DatasetError(f"no images in {source}", hint="The layout is <split>/<class>/<image>.")
    deeper = [
        image
        for image in images
        if image.folder not in folders and any(_within(image.folder, folder) for folder in folders)
    ]
    notes = (
        (
            f"{len(deeper)} images lie deeper than the class folders, first {deeper[0].name}, and "
            "were left out",
        )
        if deeper and split is not None
        else ()
    )
    return Chosen(members, others, tuple(sorted(folders)), notes)


def _named(split: str, folders: dict[str, set[str]]) -> set[str]:
    """The folders whose path ends in `split`."""
    wanted = PurePosixPath(split).parts
    if not wanted:  # '' and '.'
        return {"."} & folders.keys() if split == "." else set()
    return {folder for folder in folders if PurePosixPath(folder).parts[-len(wanted) :] == wanted}


def _within(folder: str, split: str) -> bool:
    return split != "." and PurePosixPath(folder).is_relative_to(split) and folder != split


def _one_each(
    folders: set[str], classes: dict[str, set[str]], images: Sequence[Found], source: Path
) -> None:
    """Raise DatasetError where two of the folders hold the same class."""
    homes: dict[str, list[str]] = {}
    for folder in sorted(folders):
        for label in classes[folder]:
            homes.setdefault(label, []).append(folder)
    shared = sorted({folder for found in homes.values() if len(found) > 1 for folder in found})
    if not shared:
        return
    counts = dict.fromkeys(shared, 0)
    for image in images:
        if image.folder in counts:
            counts[image.folder] += 1
    listed = ", ".join(f"{folder} ({counts[folder]} images)" for folder in shared[:_MOST_NAMED])
    raise DatasetError(
        f"several folders in {source} hold the same classes: {listed}",
        hint=f"Say which is meant, --split {shared[-1]}; take several with "
        f"--split {','.join(shared[:2])}. A model must not have been trained on them.",
    )
