"""Folders as they are found: several splits, hidden files, links, tars of all sorts."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from hawkvision.datasets import copies_elsewhere, open_labelled, order, remark_on
from hawkvision.errors import DatasetError


def put(root: Path, *names: str, data: bytes | None = None) -> Path:
    """Files whose bytes are their names, or `data`."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() if data is None else data)
    return root


@pytest.fixture
def two(tmp_path: Path) -> Path:
    names = [
        f"{split}/{label}/{split}{number}.jpg"
        for split in ("train", "val")
        for label in ("cat", "dog")
        for number in range(2)
    ]
    return put(tmp_path / "set", *names)


def test_splits_are_not_mixed_unasked(two: Path) -> None:
    with pytest.raises(DatasetError, match=r"train \(4 images\), val \(4 images\)") as refused:
        open_labelled(two)
    assert "--split val" in refused.value.hint and "--split train,val" in refused.value.hint
    assert len(open_labelled(two, "val")) == 4
    assert len(open_labelled(two, "train,val")) == 8
    with pytest.raises(DatasetError, match="'test'"):
        open_labelled(two, "val,test")


def test_folders_with_classes_of_their_own_are_one_set(tmp_path: Path) -> None:
    put(tmp_path, "pets/cat/1.jpg", "pets/dog/1.jpg", "birds/emu/1.jpg")
    assert open_labelled(tmp_path).labels == ("cat", "dog", "emu")


def test_a_split_that_stands_twice_is_named_by_its_path(tmp_path: Path) -> None:
    put(tmp_path, "a/val/cat/1.jpg", "a/val/dog/1.jpg", "b/val/cat/2.jpg", "b/val/dog/2.jpg")
    with pytest.raises(DatasetError, match=r"a/val.*b/val"):
        open_labelled(tmp_path, "val")
    assert len(open_labelled(tmp_path, "a/val")) == 2
    assert len(open_labelled(tmp_path, "a/val,b/val")) == 4


def test_class_folders_beside_a_split_are_another_set(tmp_path: Path) -> None:
    put(tmp_path, "cat/1.jpg", "dog/1.jpg", "val/cat/2.jpg", "val/dog/2.jpg")
    with pytest.raises(DatasetError, match=r"\. \(2 images\), val"):
        open_labelled(tmp_path)
    assert [name for name, _ in open_labelled(tmp_path, ".").members] == ["cat/1.jpg", "dog/1.jpg"]


def test_images_below_the_classes_are_said_to_be_left_out(two: Path) -> None:
    put(two, "val/cat/2024/deep.jpg")
    found = open_labelled(two, "val")
    assert len(found) == 4 and "deeper than the class folders" in found.notes[0]


def test_what_systems_leave_behind_is_no_image(two: Path) -> None:
    put(
        two,
        "val/.DS_Store",
        "val/cat/._val0.jpg",
        "val/cat/.hidden.jpg",
        "val/cat/Thumbs.db",
        "val/cat/notes.txt",
        "val/.cache/dog/x.jpg",
        "__MACOSX/val/cat/val0.jpg",
        "val/cat/UPPER.JPEG",
    )
    found = open_labelled(two, "val")
    assert len(found) == 5 and found.labels == ("cat", "dog") and found.notes == ()


def test_links_to_classes_and_images_are_followed_but_not_round(two: Path, tmp_path: Path) -> None:
    put(tmp_path / "elsewhere", "1.jpg", "2.jpg")
    (two / "val" / "emu").symlink_to(tmp_path / "elsewhere")
    (two / "val" / "cat" / "link.jpg").symlink_to(tmp_path / "elsewhere" / "1.jpg")
    (two / "val" / "cat" / "dead.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (two / "val" / "dog" / "up").symlink_to(two / "val")
    found = open_labelled(two, "val")
    assert found.labels == ("cat", "dog", "emu") and len(found) == 7
    assert len(list(found)) == 7
    assert any("1 links lead nowhere" in note for note in found.notes)


def test_class_folders_without_images_are_named(two: Path) -> None:
    (two / "val" / "emu").mkdir()
    found = open_labelled(two, "val")
    assert found.labels == ("cat", "dog") and "without images: emu" in found.notes[0]


def test_an_image_in_two_splits_is_found_by_its_bytes(two: Path) -> None:
    put(two, "train/cat/first.jpg", "val/cat/again.jpg", data=b"the same photo")
    put(two, "val/dog/as-long.jpg", data=b"another photo!")
    assert copies_elsewhere(open_labelled(two, "val")) == {
        "val/cat/again.jpg": "train/cat/first.jpg"
    }
    assert "train/cat/first.jpg" in remark_on(copies_elsewhere(open_labelled(two, "val")))
    with tarfile.open(two.parent / "set.tar", "w") as archive:
        archive.add(two, "set")
    assert len(copies_elsewhere(open_labelled(two.parent / "set.tar", "val"))) == 1


def add(
    archive: tarfile.TarFile, name: str, data: bytes = b"x", link: str = "", kind: bytes = b""
) -> None:
    member = tarfile.TarInfo(name)
    if kind:
        member.type, member.linkname = kind, link
        archive.addfile(member)
    else:
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))


def test_links_within_a_tar_are_read(tmp_path: Path) -> None:
    path = tmp_path / "set.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        add(archive, "./val/dog/early.jpg", link="../cat/1.jpg", kind=tarfile.SYMTYPE)
        add(archive, "./val/cat/1.jpg", b"photo")
        add(archive, "./val/cat/2.jpg", link="./val/cat/1.jpg", kind=tarfile.LNKTYPE)
        add(archive, "./val/dog/3.jpg", link="./val/cat/2.jpg", kind=tarfile.LNKTYPE)
        add(archive, "./val/dog/out.jpg", link="/etc/passwd", kind=tarfile.SYMTYPE)
        add(archive, "./val/dog/up.jpg", link="../../../etc/passwd", kind=tarfile.SYMTYPE)
        add(archive, "./val/dog/round.jpg", link="round.jpg", kind=tarfile.SYMTYPE)
    found = open_labelled(path, "val")
    assert sorted((image.name, image.data) for image in found) == [
        ("val/cat/1.jpg", b"photo"),
        ("val/cat/2.jpg", b"photo"),
        ("val/dog/3.jpg", b"photo"),
        ("val/dog/early.jpg", b"photo"),
    ]
    assert any("3 links lead nowhere" in note for note in found.notes)


@pytest.mark.parametrize("name", ["/val/cat/1.jpg", "val/../../cat/1.jpg", "../cat/1.jpg"])
def test_a_tar_with_paths_out_of_it_is_refused(tmp_path: Path, name: str) -> None:
    with tarfile.open(tmp_path / "set.tar", "w") as archive:
        add(archive, name)
    with pytest.raises(DatasetError, match="leads out of it"):
        open_labelled(tmp_path / "set.tar")


def test_a_member_that_stands_twice_is_one_image(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "set.tar", "w") as archive:
        for data in (b"one", b"two"):
            add(archive, "val/cat/1.jpg", data)
        add(archive, "val/dog/1.jpg")
    assert len(list(open_labelled(tmp_path / "set.tar", "val"))) == 2


@pytest.mark.parametrize("mode", ["w:gz", "w:xz", "w:bz2"])
def test_a_tar_that_breaks_off_is_refused(two: Path, tmp_path: Path, mode: Any) -> None:
    path = tmp_path / "set.tar"
    with tarfile.open(path, mode) as archive:
        archive.add(two, "set")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DatasetError, match="not a whole one"):
        open_labelled(path, "val")


def test_class_folders_have_one_form_of_unicode_or_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "cafe\u0301/1.jpg", "the/2.jpg")
    assert open_labelled(tmp_path).labels == ("caf\u00e9", "the")
    (tmp_path / "\udcff").mkdir()
    (tmp_path / "\udcff" / "3.jpg").write_bytes(b"x")
    with pytest.raises(DatasetError, match="no UTF-8"):
        open_labelled(tmp_path)


def test_names_that_are_no_unicode_have_their_place_in_the_order(tmp_path: Path) -> None:
    assert order.by_name_and_label([("a/\udcff.jpg", "a")]) == [("a/\udcff.jpg", "a")]
