"""Server reflection, asked by the client of grpcio-reflection, and by its newer name."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from hawkvision.oip.reflection_pb2 import ServerReflectionRequest
from hawkvision.oip.reflection_pb2_grpc import ServerReflectionStub
from tests.dc_gateway.conftest import Serve
from tests.processes import gateway

SERVICE = "inference.GRPCInferenceService"


@pytest.fixture(scope="module")
def channel(repository: Path) -> Iterator[grpc.Channel]:
    with gateway(repository) as served, grpc.insecure_channel(served.address) as found:
        yield found


def asked(**fields: Any) -> ServerReflectionRequest:
    return ServerReflectionRequest(**fields)


def test_a_stock_client_learns_the_services_and_calls_one_by_its_description(
    channel: grpc.Channel,
) -> None:
    stock = pytest.importorskip("grpc_reflection.v1alpha.proto_reflection_descriptor_database")
    database = stock.ProtoReflectionDescriptorDatabase(channel)
    assert SERVICE in set(database.get_services())
    pool = DescriptorPool(database)
    method = pool.FindServiceByName(SERVICE).FindMethodByName("ModelMetadata")
    request = GetMessageClass(method.input_type)(name="tiny")
    call: Any = channel.unary_unary(
        f"/{SERVICE}/{method.name}",
        lambda message: message.SerializeToString(),
        GetMessageClass(method.output_type).FromString,
    )
    assert list(call(request).versions) == ["1"]


async def test_the_newer_name_answers_alike(serve: Serve) -> None:
    requests = [
        asked(list_services=""),
        asked(file_containing_symbol=f"{SERVICE}.ModelStreamInfer"),
        asked(file_by_filename="hawkvision/oip/health.proto"),
        asked(file_containing_symbol="inference.Nothing"),
        asked(),
    ]
    async with serve() as served, grpc.aio.insecure_channel(served.address) as found:
        stub = ServerReflectionStub(found)  # type: ignore[no-untyped-call]
        async with asyncio.timeout(30):
            replies = [one async for one in stub.ServerReflectionInfo(iter(requests))]
    listed, service, health, missing, empty = replies
    names = {one.name for one in listed.list_services_response.service}
    assert names >= {SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"}
    files = [
        FileDescriptorProto.FromString(one.file_descriptor_response.file_descriptor_proto[0])
        for one in (service, health)
    ]
    assert [one.package for one in files] == ["inference", "grpc.health.v1"]
    assert (missing.error_response.error_code, empty.error_response.error_code) == (5, 3)
