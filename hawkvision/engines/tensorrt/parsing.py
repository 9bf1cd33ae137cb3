"""An ONNX file becomes a TensorRT network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hawkvision.errors import EngineError


def parse(trt: Any, network: Any, path: Path) -> Any:
    """Read `path`, with the weights beside it, into `network`. Raises EngineError.

    What is returned owns the weights: keep it until the engine is built.
    """
    parser = trt.OnnxParser(network, network.builder.logger)
    if parser.parse_from_file(str(path)):
        return parser
    said = [parser.get_error(index).desc() for index in range(parser.num_errors)]
    raise EngineError(
        "tensorrt: TensorRT's parser refuses {}: {}".format(
            path.name, " ".join((said or ["no reason"])[0].split())[:300]
        ),
        hint="uint8 arithmetic is not for TensorRT; --engine onnx runs the file as it is.",
    )
