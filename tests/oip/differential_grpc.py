"""Send the same gRPC calls to a real Triton and to our gateway, and print where they differ.

`python -m tests.oip.differential_grpc --triton 127.0.0.1:8001 --gateway 127.0.0.1:9001`, both with
a model `tiny` (docs/oip.md says how Triton's is made). Not part of the suite: Triton is large.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.message import Message
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.models import coloured_jpeg
from tests.oip.calls import packed

_MESSAGES: Any = service_pb2
Calls = list[tuple[str, Callable[[Any], Any]]]


def request(image: bytes, *, id: str = "", model: str = "tiny", **fields: Any) -> Any:
    """One image, raw, or typed contents."""
    found = _MESSAGES.ModelInferRequest(
        model_name=model, model_version=fields.get("version", ""), id=id
    )
    tensor = found.inputs.add(
        name="image", datatype=fields.get("datatype", "BYTES"), shape=fields.get("shape", [1])
    )
    if fields.get("typed"):
        tensor.contents.bytes_contents.append(image)
    else:
        found.raw_input_contents.append(packed(image))
    found.outputs.add(name="probabilities")
    return found


def _calling(method: str, message: Any) -> Callable[[Any], Any]:
    return lambda stub: getattr(stub, method)(message)


def calls(image: bytes) -> Calls:
    """By name, what is done with a stub."""
    asked = {
        "infer": request(image, id="a"),
        "infer typed": request(image, typed=True),
        "infer, no image": request(b"bad", id="b"),
        "infer, no model": request(image, model="none", id="c"),
        "infer, no version": request(image, version="9"),
        "infer, two claimed": request(image, shape=[2], id="d"),
        "infer, another datatype": request(image, datatype="FP32", id="e"),
        "infer, nothing": _MESSAGES.ModelInferRequest(),
    }
    stream = list(asked.values())
    strict = (("triton_grpc_error", "true"),)
    found: Calls = [(name, _calling("ModelInfer", one)) for name, one in asked.items()]
    found += [
        ("stream", lambda stub: list(stub.ModelStreamInfer(iter(stream)))),
        ("strict stream", lambda stub: list(stub.ModelStreamInfer(iter(stream), metadata=strict))),
    ]
    for method, kind, fields in (
        ("ModelReady", "ModelReadyRequest", {"name": "none"}),
        ("ModelMetadata", "ModelMetadataRequest", {"name": "none"}),
        ("ModelConfig", "ModelConfigRequest", {"name": "tiny"}),
        ("ModelConfig", "ModelConfigRequest", {"name": "none"}),
        ("ModelStatistics", "ModelStatisticsRequest", {"name": "tiny"}),
        ("ModelStatistics", "ModelStatisticsRequest", {"name": "none"}),
        ("RepositoryIndex", "RepositoryIndexRequest", {}),
        ("RepositoryIndex", "RepositoryIndexRequest", {"repository_name": "x"}),
        ("RepositoryModelLoad", "RepositoryModelLoadRequest", {"model_name": "tiny"}),
        ("RepositoryModelLoad", "RepositoryModelLoadRequest", {"model_name": "none"}),
        ("RepositoryModelUnload", "RepositoryModelUnloadRequest", {"model_name": "tiny"}),
        ("RepositoryModelUnload", "RepositoryModelUnloadRequest", {"model_name": "none"}),
        ("TraceSetting", "TraceSettingRequest", {}),
        ("LogSettings", "LogSettingsRequest", {}),
        ("SystemSharedMemoryStatus", "SystemSharedMemoryStatusRequest", {}),
    ):
        message = getattr(_MESSAGES, kind)(**fields)
        found.append((f"{method} {fields}", _calling(method, message)))
    return found


def said(answer: Any) -> object:
    """What is compared: of a reply its fields, of a stream each reply's id and whether it fails."""
    if isinstance(answer, list):
        return [
            (one.infer_response.id, bool(one.error_message), dict(one.infer_response.parameters))
            for one in answer
        ]
    assert isinstance(answer, Message)
    return [field.name for field, _ in answer.ListFields() if field.name != "parameters"]


def ask(stub: Any, call: Callable[[Any], Any]) -> tuple[str, object, str]:
    """The status, what is compared, and the text of an error."""
    try:
        return "OK", said(call(stub)), ""
    except grpc.RpcError as error:
        return error.code().name, None, str(error.details())


def main() -> None:
    """Print the differences."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--triton", required=True)
    parser.add_argument("--gateway", required=True)
    where = parser.parse_args()
    with grpc.insecure_channel(where.triton) as one, grpc.insecure_channel(where.gateway) as two:
        theirs, ours = (service_pb2_grpc.GRPCInferenceServiceStub(line) for line in (one, two))
        same = 0
        listed = calls(coloured_jpeg("red"))
        for name, call in listed:
            there, here = ask(theirs, call), ask(ours, call)
            if there[:2] == here[:2]:
                same += 1
            else:
                print(f"{name}\n  Triton:  {there}\n  gateway: {here}")
    print(f"{same} of {len(listed)} calls are answered alike")


if __name__ == "__main__":
    main()
