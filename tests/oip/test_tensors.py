"""Tensors of every datatype as bytes and back; JSON that is no such tensor is refused."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hawkvision.errors import InvalidRequest
from hawkvision.oip.messages import InferRequest, InputTensor, OutputTensor
from hawkvision.oip.pictures import pictures_of
from hawkvision.oip.tensors import pack, pack_input, unpack

NUMBERS = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
}
SHAPES = arrays.array_shapes(min_dims=1, max_dims=3, max_side=3)


def finite(datatype: str, shape: Any) -> st.SearchStrategy[Any]:
    kind = np.dtype(NUMBERS[datatype])
    elements = (
        arrays.from_dtype(kind, allow_nan=False, allow_infinity=False)
        if kind.kind == "f"
        else arrays.from_dtype(kind)
    )
    return arrays.arrays(kind, shape, elements=elements)


@given(st.data(), st.sampled_from(sorted(NUMBERS)), SHAPES)
def test_numbers_come_back_from_bytes_and_from_json(
    data: st.DataObject, datatype: str, shape: tuple[int, ...]
) -> None:
    values = data.draw(finite(datatype, shape))
    raw = pack(OutputTensor("x", datatype, values))
    np.testing.assert_array_equal(unpack(datatype, shape, raw, ()), values)
    for listed in (values.tolist(), values.ravel().tolist()):
        assert pack_input(InputTensor("x", datatype, shape, data=listed)) == raw
    if datatype != "FP16":
        np.testing.assert_array_equal(unpack(datatype, shape, None, values.ravel()), values)


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=5))
def test_bytes_come_back(elements: list[bytes]) -> None:
    values = np.empty(len(elements), np.object_)
    values[:] = elements
    raw = pack(OutputTensor("x", "BYTES", values))
    assert list(unpack("BYTES", [len(elements)], raw, ())) == elements
    assert list(unpack("BYTES", [len(elements)], None, elements)) == elements
    assert pack_input(InputTensor("x", "BYTES", (len(elements),), data=elements)) == raw


def test_text_in_json_is_its_utf_8() -> None:
    asked = InputTensor("x", "BYTES", (2,), data=["ä", "b"])
    assert pack_input(asked) == b"\2\0\0\0\xc3\xa4\1\0\0\0b"


@pytest.mark.parametrize(
    ("datatype", "shape", "data"),
    [
        ("UINT8", (1,), [256]),
        ("UINT8", (1,), [-1]),
        ("INT64", (1,), [2**63]),
        ("INT32", (1,), [1.5]),
        ("INT32", (1,), [True]),
        ("BOOL", (1,), [1]),
        ("FP32", (1,), ["1"]),
        ("FP32", (1,), [None]),
        ("FP32", (2,), [1.0]),
        ("BYTES", (1,), [1]),
        ("BF16", (1,), [1]),
        ("COMPLEX", (1,), [1]),
        ("FP32", (1,), [[[[[[[[[[1.0]]]]]]]]]]),
        ("FP32", (2, 2), [[1.0, 2.0], [3.0]]),
        ("FP32", (4,), [[1.0, 2.0], [3.0, 4.0]]),
        ("INT64", (2,), [-1, 2**63]),
    ],
)
def test_json_that_is_no_such_tensor_is_refused(
    datatype: str, shape: tuple[int, ...], data: list[Any]
) -> None:
    with pytest.raises(InvalidRequest):
        pack_input(InputTensor("x", datatype, shape, data=data))


@given(st.sampled_from(["FP32", "INT8", "BYTES", "X"]), st.binary(max_size=20))
def test_any_bytes_are_a_tensor_or_an_error_that_is_expected(datatype: str, raw: bytes) -> None:
    try:
        found = unpack(datatype, [2], raw, ())
    except (ValueError, InvalidRequest):
        return
    assert found.shape == (2,)


@pytest.mark.parametrize("datatype", ["UINT8", "FP32"])
def test_texts_among_numbers_take_no_more_memory_than_they_are_long(datatype: str) -> None:
    """As an array of texts each of them would be as wide as the longest: here 1.2 GB."""
    shape = (1, 100, 100, 3)
    asked = InputTensor("image", datatype, shape, data=["x" * 10_000] + [""] * 29_999)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRequest):
            pack_input(asked)
        with pytest.raises(InvalidRequest):
            pictures_of(InferRequest((asked,)), 1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * 2**20
