"""Parquet as Hugging Face data sets keep it."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from hawkvision.datasets import copies_elsewhere, open_labelled, remark_on
from hawkvision.errors import DatasetError
from tests.models import LABELS, coloured_jpeg


def write(path: Path, *, named: bool = True, count: int = 40, label: str = "label") -> None:
    rows = [coloured_jpeg(LABELS[index % 4], seed=index) for index in range(count)]
    table = pyarrow.table(
        {
            "image": [{"bytes": data, "path": f"{index}.jpg"} for index, data in enumerate(rows)],
            label: [index % 4 for index in range(count)],
        }
    )
    if named:
        features = {label: {"names": list(LABELS), "_type": "ClassLabel"}}
        metadata = {"huggingface": json.dumps({"info": {"features": features}})}
        table = table.replace_schema_metadata(metadata)
    pyarrow.parquet.write_table(table, path, row_group_size=16)


def test_images_come_with_the_names_of_their_classes(tmp_path: Path) -> None:
    write(tmp_path / "train-00000-of-00001.parquet")
    write(tmp_path / "test-00000-of-00001.parquet", count=12)
    found = open_labelled(tmp_path, "test")
    assert (len(found), found.labels) == (12, tuple(sorted(LABELS)))
    images = {image.name: image for image in found}
    assert len(images) == 12
    for name, image in images.items():
        row = int(name.rsplit("#", 1)[1])
        assert image.label == LABELS[row % 4]
        assert image.data == coloured_jpeg(LABELS[row % 4], seed=row)
    assert len(open_labelled(tmp_path, "train,test")) == 52


def test_splits_are_not_mixed_unasked(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / "default" / split).mkdir(parents=True)
        write(tmp_path / "default" / split / "0000.parquet", count=20)
    with pytest.raises(DatasetError, match="several splits: test, train") as refused:
        open_labelled(tmp_path)
    assert "--split" in refused.value.hint
    both = open_labelled(tmp_path, "train,test")
    assert len(list(both)) == len(both) == 40


def test_copies_in_other_splits_are_found(tmp_path: Path) -> None:
    """Rows 0 to 11 of one split are the first of the other, whose labels nobody needs."""
    write(tmp_path / "train-00000-of-00002.parquet", count=24)
    write(tmp_path / "train-00001-of-00002.parquet", count=4, label="colour")
    write(tmp_path / "test.parquet", count=12)
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a"]}), tmp_path / "words.parquet")
    found = open_labelled(tmp_path, "test")
    assert (len(found), len(list(found)), len(found.others)) == (12, 12, 28)
    copies = copies_elsewhere(found)
    assert len(copies) == 12
    assert copies["test.parquet#0000007"] == "train-00000-of-00002.parquet#0000007"
    assert "12 images stand in another split too" in remark_on(copies)
    few = copies_elsewhere(found.part(found.members[:3]))
    assert sorted(few) == [name for name, _ in found.members[:3]]
    assert copies_elsewhere(open_labelled(tmp_path / "test.parquet")) == {}


def test_no_copies_where_all_splits_are_taken(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", count=24)
    write(tmp_path / "test.parquet", count=12)
    assert copies_elsewhere(open_labelled(tmp_path, "train,test")) == {}


def test_a_part_reads_only_its_rows(tmp_path: Path) -> None:
    write(tmp_path / "all.parquet")
    found = open_labelled(tmp_path / "all.parquet")
    part = found.part(found.members[5:8])
    assert [image.name for image in part] == [name for name, _ in found.members[5:8]]


def test_numbers_without_names_are_their_own_labels(tmp_path: Path) -> None:
    write(tmp_path / "all.parquet", named=False)
    assert open_labelled(tmp_path / "all.parquet").labels == ("0", "1", "2", "3")


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", label="colour")
    with pytest.raises(DatasetError, match="colour"):
        open_labelled(tmp_path)
    with pytest.raises(DatasetError, match="split 'val'"):
        open_labelled(tmp_path, "val")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DatasetError, match="cannot be read"):
        open_labelled(tmp_path / "broken.parquet")
