"""What TensorRT's parser says, told so that a person can act on it; a parser of the test's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hawkvision.engines.tensorrt.parsing import advise, parse, refusal
from hawkvision.errors import EngineError


@dataclass
class Said:
    text: str
    index: int = 3
    name: str = "head.bias_dq"
    operator: str = "DequantizeLinear"

    def desc(self) -> str:
        return self.text

    def node(self) -> int:
        return self.index

    def node_name(self) -> str:
        return self.name

    def node_operator(self) -> str:
        return self.operator


@dataclass
class Old:
    """A parser's error before it named nodes."""

    text: str

    def desc(self) -> str:
        return self.text

    def node(self) -> int:
        return 7


@dataclass
class Parser:
    found: list[Any] = field(default_factory=list)

    def parse_from_file(self, _path: str) -> bool:
        return not self.found

    @property
    def num_errors(self) -> int:
        return len(self.found)

    def get_error(self, index: int) -> Any:
        return self.found[index]


def refused(*found: Any) -> EngineError:
    trt = SimpleNamespace(OnnxParser=lambda _network, _logger: Parser(list(found)))
    network = SimpleNamespace(builder=SimpleNamespace(logger=None))
    with pytest.raises(EngineError) as caught:
        parse(trt, network, Path("user.onnx"))
    return caught.value


def test_a_file_that_parses_gives_the_parser_that_owns_its_weights() -> None:
    trt = SimpleNamespace(OnnxParser=lambda _network, _logger: Parser())
    network = SimpleNamespace(builder=SimpleNamespace(logger=None))
    assert isinstance(parse(trt, network, Path("user.onnx")), Parser)


def test_the_node_is_named_with_its_operator() -> None:
    error = refused(Said("Assertion failed: no such thing"))
    assert "user.onnx at node head.bias_dq (DequantizeLinear)" in error.message


def test_a_node_without_a_name_is_known_by_its_place() -> None:
    assert "node number 3 (Slice)" in refused(Said("x", name="", operator="Slice")).message


def test_parsers_that_name_no_nodes_still_say_which_one() -> None:
    assert "node number 7:" in refused(Old("x")).message


def test_a_fault_of_the_file_itself_names_no_node() -> None:
    assert "at the file itself" in refused(Said("x", index=-1, name="", operator="")).message


def test_further_faults_are_counted() -> None:
    assert refused(Said("x"), Said("y"), Said("z")).message.endswith("(2 more)")


def test_a_parser_that_says_nothing_is_not_made_to() -> None:
    assert "does not say why" in refusal("user.onnx", []).message


def test_words_are_one_line_without_places_in_sources() -> None:
    said = (
        "Invalid Node - head.bias_dq\nITensor::getDimensions: Error Code 4: API Usage Error (input "
        "has type Int32 but must have type Int8. In checkType at /_src/nodeBase.cpp:456)\n"
        "[check.cpp] Error Code 1: Cuda Runtime (cudaError 35: CUDA driver version)"
    )
    message = refused(Said(said)).message
    assert "\n" not in message and "nodeBase" not in message and "cudaError" not in message
    assert "API Usage Error (input has type Int32 but must have type Int8.)" in message


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("Non-zero zero point is not supported", "zero point 0"),
        ("input has type Int32 but must have type FP8, Int8, or UInt8", "biases are int32"),
        ("Found unsupported input type of UINT8", "only be cast to float"),
        ("No importer registered for op: NonMaxFoo", "no such operator"),
        ("Plugin not found, are the plugin name correct?", "no such operator"),
        ("Failed to open external data file w.bin", "own folder"),
        ("the size must be a build-time constant", "static shapes"),
        ("something new", "plain opset"),
    ],
)
def test_every_kind_of_fault_has_its_advice(said: str, wanted: str) -> None:
    assert wanted in advise(said)
    assert "--engine onnx" in (refused(Said(said)).hint or "")
