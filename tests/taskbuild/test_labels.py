"""Files that name outputs, in the forms that people have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.errors import CalibrationError
from hawkvision.taskbuild.labels import Labels, beside, read_labels

PAIR = ("cat", "dog")


def read(folder: Path, name: str, text: str) -> Labels:
    (folder / name).write_text(text, "utf-8")
    return read_labels(folder / name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", "cat\n\n dog \n"),
        ("a.txt", "\ufeffcat\r\ndog"),
        ("a.txt", "0 cat\n1 dog\n"),
        ("a.txt", "1: dog\n0: cat\n"),
        ("a.names", "0,cat\n1,dog\n"),
        ("a.txt", "n01440764 cat\nn02102040 dog\n"),
        ("a.txt", "0 n01440764 cat\n1 n02102040 dog\n"),
        ("a.csv", "cat\ndog\n"),
        ("a.csv", "index,name\n1,dog\n0,cat\n"),
        ("a.csv", "label,id\ncat,0\ndog,1\n"),
        ("a.csv", "0,cat\n1,dog\n"),
        ("a.csv", "n01440764,cat\nn02102040,dog\n"),
        ("a.csv", "class_id;wnid;class_name\n0;n01440764;cat\n1;n02102040;dog\n"),
        ("a.tsv", "id\tlabel\n0\tcat\n1\tdog\n"),
        ("a.json", '["cat", "dog"]'),
        ("a.json", '{"1": "dog", "0": "cat"}'),
        ("a.json", '{"dog": 1, "cat": 0}'),
        ("a.json", '{"dog": "1", "cat": "0"}'),
        ("a.json", '{"0": ["n01440764", "cat"], "1": ["n02102040", "dog"]}'),
        ("a.json", '[["n01440764", "cat"], ["n02102040", "dog"]]'),
        ("a.json", '[{"id": 1, "name": "dog"}, {"id": 0, "name": "cat"}]'),
        ("a.json", '{"id2label": {"0": "cat", "1": "dog"}, "label2id": {"cat": 0, "dog": 1}}'),
        ("a.json", '{"architectures": ["X"], "label2id": {"cat": 0, "dog": 1}}'),
        ("a.json", '{"class_indices": {"cat": 0, "dog": 1}}'),
        ("labels", '["cat", "dog"]'),
    ],
)
def test_every_form_says_the_same(tmp_path: Path, name: str, text: str) -> None:
    assert read(tmp_path, name, text).labels == PAIR


def test_wordnet_ids_and_single_words_are_other_names(tmp_path: Path) -> None:
    found = read(tmp_path, "a.txt", "n01440764 tench, Tinca tinca\nn02102040 English springer\n")
    assert found.labels == ("tench, Tinca tinca", "English springer")
    assert found.synonyms == {"n01440764": 0, "tench": 0, "Tinca tinca": 0, "n02102040": 1}
    keras = read(tmp_path, "a.json", '{"0": ["n1", "a"], "1": ["n02102040", "English_springer"]}')
    assert keras.synonyms["English springer"] == keras.synonyms["n02102040"] == 1


def test_names_that_stand_twice_are_told_apart(tmp_path: Path) -> None:
    found = read(tmp_path, "a.txt", "crane\nhen\ncrane\n")
    assert found.labels == ("crane (1)", "hen", "crane (2)") and "crane" not in found.synonyms
    assert "'crane' stand for several outputs" in found.notes[0]
    found = read(tmp_path, "b.txt", "n02012849 crane\nn01514668 cock\nn03126707 crane\n")
    assert found.labels == ("crane (n02012849)", "cock", "crane (n03126707)")
    assert (found.synonyms["crane (1)"], found.synonyms["crane (2)"]) == (0, 2)
    found = read(tmp_path, "c.json", '{"crane": 0, "hen": 1, "crane": 2}')
    assert found.labels == ("crane (1)", "hen", "crane (2)")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.txt", "", "0 labels"),
        ("a.txt", "one", "1 labels"),
        ("a.json", '["a", "a"]', "1 different"),
        ("a.txt", "0 cat\n2 dog\n", "line 2.*index 2 comes where 1 is missing"),
        ("a.txt", "1 cat\n2 dog\n", "line 1.*index 1 comes where 0 is missing"),
        ("a.txt", "0 cat\n0 dog\n", "line 2.*index 0 stands twice"),
        ("a.csv", "id,name\n0,cat\nx,dog\n", "line 3: 'x' is no index"),
        ("a.csv", "0,cat\n1\n", "line 2 has 1 columns"),
        ("a.csv", "id,name\n0,cat\n1,\n", "output 1 has no name"),
        ("a.json", '{"0": "a", "2": "b"}', "key '2'.*index 2 comes where 1 is missing"),
        ("a.json", '{"cat": 0, "dog": 2}', "key 'dog'"),
        ("a.json", '{"cat": "x", "dog": "y"}', "key 'cat'"),
        ("a.json", '["cat", null]', "entry 1"),
        ("a.json", '["cat", ""]', "output 1 has no name"),
        ("a.json", "5", "neither a list nor an object"),
        ("a.json", '["cat",\n "dog"', "line 2"),
        ("a.json", "[" * 100_000, "labels"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    with pytest.raises(CalibrationError, match=said) as refused:
        read(tmp_path, name, text)
    assert str(tmp_path / name) in refused.value.message


@given(
    st.one_of(
        st.text(max_size=80),
        st.recursive(
            st.none() | st.booleans() | st.integers(-2, 3) | st.text(max_size=4),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["0", "1", "id2label", "labels", "cat"]), inner, max_size=3
                )
            ),
        ).map(json.dumps),
    ),
    st.sampled_from(["a.txt", "a.csv", "a.json"]),
)
def test_any_text_is_labels_or_refused(
    tmp_path_factory: pytest.TempPathFactory, text: str, name: str
) -> None:
    path = tmp_path_factory.getbasetemp() / name
    path.write_text(text, "utf-8")
    try:
        found = read_labels(path)
    except CalibrationError:
        return
    assert len(set(found.labels)) == len(found.labels) >= 2 and all(found.labels)
    assert all(0 <= place < len(found.labels) for place in found.synonyms.values())


def test_a_config_beside_a_model_or_above_onnx_is_found(tmp_path: Path) -> None:
    (tmp_path / "onnx").mkdir()
    assert beside(tmp_path / "onnx" / "model.onnx") is None
    (tmp_path / "config.json").write_text('{"id2label": {"0": "cat", "1": "dog"}}')
    for model in (tmp_path / "model.onnx", tmp_path / "onnx" / "model.onnx"):
        assert beside(model) == tmp_path / "config.json"
