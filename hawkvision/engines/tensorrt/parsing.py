"""An ONNX file becomes a TensorRT network, or it is said which node stops it and what to do.

Written for TensorRT 10 and 11 and TensorRT for RTX, whose parsers are the same. Source: NVIDIA's
Python API, `OnnxParser` and `ParserError`; onnx-tensorrt, `docs/operators.md`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hawkvision.errors import EngineError

CLEAN = "hawkvision quantize FILE --for tensorrt"
_LONGEST = 300
_LEAST = 12
"""Letters below which the parser's words say nothing without its code."""

_ADVICE = (
    (
        r"(?i)zero.?points?\b",
        f"its steps need zero point 0: quantize the float network with `{CLEAN}`.",
    ),
    (
        r"(?i)input has type Int32 but must have type",
        f"its biases are int32 and must be float: quantize the float network with `{CLEAN}`.",
    ),
    (
        r"(?i)\bu?int(8|16)\b",
        "uint8 may only be cast to float; if the file is quantized for CPUs, quantize the float "
        f"network with `{CLEAN}`.",
    ),
    (
        r"(?i)plugin not found|unsupported.?(node|operator)|no importer registered",
        "TensorRT has no such operator: export the model without it (a plain opset, 17 or so).",
    ),
    (
        r"(?i)external data|weights? (file|data)|cannot open|failed to (open|load)",
        "put the files with its weights into its own folder.",
    ),
    (
        r"(?i)dynamic|shape tensor|must be (a )?constant|build-time constant",
        "fix the sizes that it leaves open, all but the batch: export it with static shapes.",
    ),
)
_ELSE = "export the model again with a plain opset (17 or so)."
_OTHER_ENGINE = " `--engine onnx` runs the file as it is."


def parse(trt: Any, network: Any, path: Path) -> Any:
    """Read `path`, with the weights beside it, into `network`. Raises EngineError.

    `trt` is NVIDIA's module. What is returned owns the weights: keep it until the engine is built.
    """
    parser = trt.OnnxParser(network, network.builder.logger)
    if parser.parse_from_file(str(path)):
        return parser
    found = [parser.get_error(index) for index in range(parser.num_errors)]
    raise refusal(path.name, found)


def refusal(file: str, found: list[Any]) -> EngineError:
    """What a parser's errors (`ParserError`) say, with the node and what to do."""
    if not found:
        return EngineError(
            f"tensorrt: TensorRT's parser refuses {file} and does not say why",
            hint="Check it with `python -m onnx.checker`." + _OTHER_ENGINE,
        )
    first = found[0]
    said = _words(str(first.desc()))
    code = str(getattr(_asked_raw(first, "code"), "name", ""))
    if code and len(said) < _LEAST:
        said = f"{code} ({said})"
    more = f" ({len(found) - 1} more)" if len(found) > 1 else ""
    advice = advise(said)
    return EngineError(
        f"tensorrt: TensorRT's parser refuses {file} at {_node(first)}: {said}{more}",
        hint=advice[0].upper() + advice[1:] + _OTHER_ENGINE,
    )


def advise(said: str) -> str:
    """What to do about the parser's words."""
    for pattern, advice in _ADVICE:
        if re.search(pattern, said):
            return advice
    return _ELSE


def _node(error: Any) -> str:
    """The node as a person finds it: its name and operator, else its place in the file."""
    operator = _asked(error, "node_operator")
    name = _asked(error, "node_name")
    place = _asked(error, "node")
    known = name if name else (f"number {place}" if place not in ("", "-1") else "")
    if not known:
        return "the file itself"
    return "node {}{}".format(known, f" ({operator})" if operator else "")


def _asked_raw(error: Any, name: str) -> Any:
    ask = getattr(error, name, None)
    return None if ask is None else ask()


def _asked(error: Any, name: str) -> str:
    """What an error says of itself; older parsers say less."""
    found = _asked_raw(error, name)
    return "" if found is None else str(found)[:120]


def _words(text: str) -> str:
    """The first thing that is said: no line ends, no places in NVIDIA's sources, no CUDA noise."""
    kept = [line for line in text.splitlines() if line.strip() and "cudaError" not in line]
    if len(kept) > 1 and kept[0].startswith("Invalid Node"):
        kept = kept[1:]
    words = " ".join(" ".join(kept or [text]).split())
    words = re.sub(r"\s*In \w+ at /\S+:\d+", "", words)
    words = re.sub(r"^\w+::\w+: Error Code \d+: ", "", words)
    return words[:_LONGEST]
