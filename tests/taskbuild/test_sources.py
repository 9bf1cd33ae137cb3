"""What the command line says of a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.errors import CalibrationError
from hawkvision.taskbuild.inspect import labels_of
from hawkvision.taskbuild.labels import read_labels
from hawkvision.taskbuild.sources import parse_source, read_aliases

KEYS = st.sampled_from(
    ["labels", "normalize", "mean", "std", "size", "fit", "channels", "output", "name", "x"]
)
VALUES = st.sampled_from(
    [
        "imagenet",
        "unit",
        "224",
        "320x240",
        "0x0",
        "cover",
        "BGR",
        "1/2/3",
        "0",
        "nan",
        "logits",
        "a",
    ]
)


def test_everything_can_be_said() -> None:
    source = parse_source(
        "dir/m.onnx,labels=l.txt,mean=1/2/3,std=4,size=320x240,fit=stretch,channels=bgr,"
        "output=probabilities,name=big"
    )
    assert source.path == Path("dir/m.onnx") and source.labels == Path("l.txt")
    normalization = source.normalization
    assert normalization is not None
    assert normalization.mean == (1.0, 2.0, 3.0)
    assert normalization.std == (4.0, 4.0, 4.0)
    assert source.size == (320, 240) and source.fit == "stretch" and source.channels == "BGR"
    assert source.output == "probabilities" and source.name == "big"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("m.onnx,size=big", "size=big"),
        ("m.onnx,colour=red", "colour"),
        ("m.onnx,fit", "fit"),
        ("m.onnx,normalize=unit,mean=0", "not both"),
        ("m.onnx,std=0", "std"),
        ("m.onnx,size=1,size=2", "twice"),
        ("m.onnx,name=a b", "name"),
        ("", "file"),
    ],
)
def test_what_is_wrong_is_named(text: str, said: str) -> None:
    with pytest.raises(CalibrationError, match=said):
        parse_source(text)


@given(
    st.one_of(
        st.text(max_size=60),
        st.lists(st.tuples(KEYS, VALUES), max_size=4).map(
            lambda pairs: "m.onnx," + ",".join(f"{key}={value}" for key, value in pairs)
        ),
    )
)
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        source = parse_source(text)
    except CalibrationError:
        return
    assert source.size is None or min(source.size) > 0
    assert source.normalization is None or min(source.normalization.std) > 0


def test_labels_in_three_forms(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("cat\n\ndog\n")
    (tmp_path / "b.json").write_text('["cat", "dog"]')
    (tmp_path / "c.json").write_text('{"1": "dog", "0": "cat"}')
    for name in ("a.txt", "b.json", "c.json"):
        assert read_labels(tmp_path / name).labels == ("cat", "dog")


@pytest.mark.parametrize("text", ["", "one", '["a", "a"]', '{"0": "a", "2": "b"}', "5", "{"])
def test_unusable_labels_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "l.json").write_text(text)
    with pytest.raises(CalibrationError):
        read_labels(tmp_path / "l.json")
    with pytest.raises(CalibrationError):
        read_labels(tmp_path / "missing.txt")


def test_aliases_are_a_json_object(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"n01": "cat"}')
    assert read_aliases(tmp_path / "a.json") == {"n01": "cat"}
    (tmp_path / "a.json").write_text("[1]")
    with pytest.raises(CalibrationError, match="aliases"):
        read_aliases(tmp_path / "a.json")


@pytest.mark.parametrize(
    "metadata",
    [
        {"names": "{0: 'cat', 1: \"dog\"}"},
        {"labels": '["cat", "dog"]'},
        {"classes": '{"0": "cat", "1": "dog"}'},
    ],
)
def test_labels_that_exporters_leave_in_the_file(metadata: dict[str, str]) -> None:
    assert labels_of(metadata) == ("cat", "dog")


@given(st.dictionaries(st.sampled_from(["names", "labels"]), st.text(max_size=50)))
def test_strange_metadata_is_no_label(metadata: dict[str, str]) -> None:
    labels = labels_of(metadata)
    assert labels is None or (len(set(labels)) >= 2 and all(labels))
    assert labels_of({"names": json.dumps({"0": "a"})}) is None


def test_files_may_have_commas_in_their_names(tmp_path: Path) -> None:
    folder = tmp_path / "tasks, mine"
    folder.mkdir()
    model, labels = folder / "a,size=3,b.onnx", folder / "labels,1.txt"
    for path in (model, labels):
        path.write_bytes(b"")
    found = parse_source(f"{model},labels={labels},fit=stretch")
    assert (found.path, found.labels, found.fit) == (model, labels, "stretch")
    with pytest.raises(CalibrationError, match="not a known setting"):
        parse_source(f"{model},nonsense")
