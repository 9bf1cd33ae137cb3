"""`grpc.reflection`: what services there are, in their own descriptors, for tools such as grpcurl.

Our own stubs, as for health: grpcio-reflection would tie grpcio to one minor version, and reads the
default descriptor pool, where our services are not. `v1` and `v1alpha` differ in their name alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import grpc
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto

from hawkvision.oip.reflection_pb2 import (
    ErrorResponse,
    ServerReflectionRequest,
    ServerReflectionResponse,
)
from hawkvision.serving.grpc.entrance import Call, check_small
from hawkvision.serving.grpc.status import Status
from hawkvision.serving.grpc.streams import StreamMethod

SERVICES = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")


class Reflection:
    """Answers from files; each stands alone, for none of ours imports another."""

    def __init__(self, files: Iterable[FileDescriptor]) -> None:
        protos = [_proto(one) for one in files]
        self._files = {proto.name: proto.SerializeToString() for proto in protos}
        self._services = [
            f"{proto.package}.{service.name}" for proto in protos for service in proto.service
        ]
        self._symbols = {symbol: proto.name for proto in protos for symbol in _symbols_of(proto)}

    def streams(self) -> dict[str, StreamMethod]:
        """By the method's name."""
        method = StreamMethod(ServerReflectionRequest, self._answer, _refused, check_small)
        return {"ServerReflectionInfo": method}

    async def _answer(
        self, request: ServerReflectionRequest, call: Call
    ) -> ServerReflectionResponse:
        return self.answer(request)

    def answer(self, request: ServerReflectionRequest) -> ServerReflectionResponse:
        """What is asked for, or an error in the reply."""
        reply = ServerReflectionResponse(valid_host=request.host, original_request=request)
        which = request.WhichOneof("message_request")
        if which == "list_services":
            for name in self._services:
                reply.list_services_response.service.add(name=name)
            return reply
        if which == "file_by_filename":
            found = self._files.get(request.file_by_filename)
        elif which == "file_containing_symbol":
            found = self._files.get(self._symbols.get(request.file_containing_symbol, ""))
        else:  # proto3 has no extensions
            found = None
        if found is None:
            code, text = _NOT_FOUND if which is not None else _INVALID
            reply.error_response.CopyFrom(ErrorResponse(error_code=code, error_message=text))
        else:
            reply.file_descriptor_response.file_descriptor_proto.append(found)
        return reply


_NOT_FOUND = (grpc.StatusCode.NOT_FOUND.value[0], "not_found: nothing of that name is served here")
_INVALID = (grpc.StatusCode.INVALID_ARGUMENT.value[0], "invalid_request: nothing is asked for")


def _refused(request: Any | None, status: Status) -> ServerReflectionResponse:
    code = status.code.value[0]
    return ServerReflectionResponse(
        error_response=ErrorResponse(error_code=code, error_message=status.details)
    )


def _proto(one: FileDescriptor) -> FileDescriptorProto:
    found = FileDescriptorProto()
    one.CopyToProto(found)
    return found


def _symbols_of(proto: FileDescriptorProto) -> Iterator[str]:
    """Full names of all that a file declares."""
    for service in proto.service:
        yield f"{proto.package}.{service.name}"
        for method in service.method:
            yield f"{proto.package}.{service.name}.{method.name}"
    for enum in proto.enum_type:
        yield f"{proto.package}.{enum.name}"
    for message in proto.message_type:
        yield from _names_in(message, proto.package)


def _names_in(message: DescriptorProto, scope: str) -> Iterator[str]:
    name = f"{scope}.{message.name}"
    yield name
    for field in message.field:
        yield f"{name}.{field.name}"
    for enum in message.enum_type:
        yield f"{name}.{enum.name}"
    for nested in message.nested_type:
        yield from _names_in(nested, name)
