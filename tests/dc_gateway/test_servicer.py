"""What the gateway answers to good, bad, late, cancelled and too many requests."""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress

import grpc
import grpc.aio
import numpy as np
import numpy.typing as npt
import pytest

from hawkvision.images import ImageLimits
from hawkvision.oip import open_inference_pb2 as messages
from hawkvision.oip.codec import unpack_fp32
from tests.dc_gateway.calls import busy_thread, infer_request, until
from tests.dc_gateway.conftest import Serve, Served
from tests.models import coloured_jpeg

LABELS = ("red", "green", "blue", "grey")
Code = grpc.StatusCode


def probabilities(reply: messages.ModelInferResponse) -> npt.NDArray[np.float32]:
    return unpack_fp32(reply.raw_output_contents[0], list(reply.outputs[0].shape))


async def refusal(
    served: Served, request: messages.ModelInferRequest, timeout: float | None = None
) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.stub.ModelInfer(request, timeout=timeout)
    return caught.value


async def test_each_image_of_a_batch_gets_its_row_of_probabilities(serve: Serve) -> None:
    async with serve() as served:
        request = infer_request(*(coloured_jpeg(label, seed=1, noise=5.0) for label in LABELS))
        reply = await served.stub.ModelInfer(request)
    rows = probabilities(reply)
    assert [LABELS[index] for index in rows.argmax(axis=1)] == list(LABELS)
    assert rows.sum(axis=1) == pytest.approx(np.ones(4), abs=1e-5)


async def test_the_reply_names_the_version_that_served_and_the_request(serve: Serve) -> None:
    async with serve() as served:
        reply = await served.stub.ModelInfer(infer_request(coloured_jpeg("red")))
    assert (reply.model_name, reply.model_version, reply.id) == ("tiny", "1", "r1")


async def test_images_may_come_as_typed_contents_of_shape_n_by_one(serve: Serve) -> None:
    request = messages.ModelInferRequest(model_name="tiny")
    tensor = request.inputs.add(name="image", datatype="BYTES", shape=[1, 1])
    tensor.contents.bytes_contents.append(coloured_jpeg("blue", noise=5.0))
    async with serve() as served:
        rows = probabilities(await served.stub.ModelInfer(request))
    assert LABELS[int(rows[0].argmax())] == "blue"


@pytest.mark.parametrize(("model", "version"), [("nothing", ""), ("tiny", "7"), ("../tiny", "")])
async def test_an_unknown_model_or_version_is_not_found(
    serve: Serve, model: str, version: str
) -> None:
    async with serve() as served:
        error = await refusal(
            served, infer_request(coloured_jpeg("red"), model=model, version=version)
        )
    assert error.code() is Code.NOT_FOUND
    assert str(error.details()).startswith("unknown_task: ")


def _shape(*shape: int) -> messages.ModelInferRequest:
    request = infer_request(coloured_jpeg("red"))
    del request.inputs[0].shape[:]
    request.inputs[0].shape.extend(shape)
    return request


def _nan_tensor() -> messages.ModelInferRequest:
    request = messages.ModelInferRequest(model_name="tiny")
    request.inputs.add(name="image", datatype="FP32", shape=[1, 3, 32, 32])
    request.raw_input_contents.append(np.full(3072, np.nan, "<f4").tobytes())
    return request


def _raw(data: bytes) -> messages.ModelInferRequest:
    request = infer_request(b"")
    request.raw_input_contents[0] = data
    return request


def _other_output() -> messages.ModelInferRequest:
    request = infer_request(coloured_jpeg("red"))
    request.outputs.add(name="logits")
    return request


def _other_input() -> messages.ModelInferRequest:
    request = infer_request(coloured_jpeg("red"))
    request.inputs[0].name = "pixels"
    return request


BAD = {
    "no input": messages.ModelInferRequest(model_name="tiny"),
    "another input": _other_input(),
    "another output": _other_output(),
    "NaN tensor": _nan_tensor(),
    "no image": _shape(0),
    "negative count": _shape(-1),
    "no shape": _shape(),
    "three axes": _shape(1, 1, 1),
    "two images claimed": _shape(2),
    "too many images": _shape(65),
    "huge count": _shape(2**62),
    "length without data": _raw(struct.pack("<I", 1000)),
    "half a length": _raw(b"\x01\x00"),
    "a million empty images": _raw(bytes(4_000_000)),
    "empty image": infer_request(b""),
    "not an image": infer_request(b"GIF89a" + bytes(100)),
    "truncated jpeg": infer_request(coloured_jpeg("red")[:200]),
    "broken png": infer_request(b"\x89PNG\r\n\x1a\n" + bytes(64)),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_request_is_an_invalid_argument_and_the_next_one_is_served(
    serve: Serve, name: str
) -> None:
    async with serve() as served:
        error = await refusal(served, BAD[name])
        good = await served.stub.ModelInfer(infer_request(coloured_jpeg("red")))
    assert error.code() is Code.INVALID_ARGUMENT
    assert probabilities(good).shape == (1, 4)


async def test_a_corrupt_image_among_good_ones_is_named(serve: Serve) -> None:
    good = coloured_jpeg("red")
    async with serve() as served:
        error = await refusal(served, infer_request(good, good[:150], good))
    assert str(error.details()).startswith("corrupt_image: image 1 of 3")


async def test_a_corrupt_image_fails_only_its_own_of_many_calls_at_once(serve: Serve) -> None:
    good = coloured_jpeg("green")
    async with serve(threads=2) as served:
        calls = [
            served.stub.ModelInfer(infer_request(good[:150] if index == 5 else good))
            for index in range(12)
        ]
        replies = await asyncio.gather(*calls, return_exceptions=True)
    assert [index for index, reply in enumerate(replies) if isinstance(reply, Exception)] == [5]


async def test_an_image_over_the_limits_is_refused_before_it_is_decoded(serve: Serve) -> None:
    async with serve(limits=ImageLimits(max_bytes=100_000, max_pixels=1000)) as served:
        error = await refusal(served, infer_request(coloured_jpeg("red", size=(48, 48))))
    assert str(error.details()).startswith("payload_too_large: ")


async def test_a_message_over_twice_the_image_limit_is_not_received(serve: Serve) -> None:
    async with serve(limits=ImageLimits(max_bytes=1000)) as served:
        error = await refusal(served, infer_request(bytes(70_000)))
    assert error.code() is Code.RESOURCE_EXHAUSTED


async def test_a_full_queue_refuses_at_once_and_says_when_to_try_again(serve: Serve) -> None:
    image = coloured_jpeg("red")
    async with serve(max_queue=2) as served, busy_thread(served):
        waiting = asyncio.ensure_future(served.stub.ModelInfer(infer_request(image, image)))
        await until(lambda: served.gateway.pool.waiting == 2)
        error = await refusal(served, infer_request(image))
        assert not waiting.done()
        waiting.cancel()
    trailing = dict([*(error.trailing_metadata() or ())])
    assert error.code() is Code.RESOURCE_EXHAUSTED
    assert (trailing["retry-after"], trailing["grpc-retry-pushback-ms"]) == ("1", "1000")


async def test_a_batch_that_the_queue_can_never_hold_is_not_asked_to_retry(serve: Serve) -> None:
    image = coloured_jpeg("red")
    async with serve(max_queue=2) as served:
        error = await refusal(served, infer_request(image, image, image))
    assert error.code() is Code.INVALID_ARGUMENT


async def test_a_call_past_its_deadline_makes_room(serve: Serve) -> None:
    image = coloured_jpeg("red")
    async with serve(max_queue=1) as served, busy_thread(served):
        error = await refusal(served, infer_request(image), timeout=0.2)
        live = asyncio.ensure_future(served.stub.ModelInfer(infer_request(image)))
        await until(lambda: served.gateway.pool.waiting == 1)
        live.cancel()
    assert error.code() is Code.DEADLINE_EXCEEDED


async def test_a_cancelled_call_makes_room(serve: Serve) -> None:
    image = coloured_jpeg("red")
    async with serve(max_queue=1) as served:
        async with busy_thread(served):
            gone = served.stub.ModelInfer(infer_request(image))
            await until(lambda: served.gateway.pool.waiting == 1)
            gone.cancel()
            with suppress(asyncio.CancelledError):
                await gone
            live = asyncio.ensure_future(served.stub.ModelInfer(infer_request(image)))
            await served.stub.ServerLive(messages.ServerLiveRequest())
        assert probabilities(await live).shape == (1, 4)


async def test_the_event_loop_answers_while_every_thread_is_busy(serve: Serve) -> None:
    async with serve() as served, busy_thread(served):
        reply = await served.stub.ServerLive(messages.ServerLiveRequest(), timeout=20)
    assert reply.live


async def test_an_unexpected_fault_is_internal_without_details_and_service_goes_on(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve() as served, serve() as other:
        served.gateway.models["tiny"].rungs[-1].close()
        error = await refusal(served, infer_request(coloured_jpeg("red")))
        live = await served.stub.ServerLive(messages.ServerLiveRequest())
        good = await other.stub.ModelInfer(infer_request(coloured_jpeg("red")))
    assert error.code() is Code.INTERNAL
    assert error.details() == "internal: the request failed; see the server's own log"
    assert "Traceback" in caplog.text
    assert live.live
    assert probabilities(good).shape == (1, 4)


async def test_while_draining_the_server_and_its_models_are_not_ready(serve: Serve) -> None:
    async with serve() as served:
        before = await served.stub.ServerReady(messages.ServerReadyRequest())
        served.gateway.servicer.draining = True
        after = await served.stub.ServerReady(messages.ServerReadyRequest())
        model = await served.stub.ModelReady(messages.ModelReadyRequest(name="tiny"))
    assert (before.ready, after.ready, model.ready) == (True, False, False)


async def test_metadata_of_server_and_model(serve: Serve) -> None:
    async with serve() as served:
        server = await served.stub.ServerMetadata(messages.ServerMetadataRequest())
        model = await served.stub.ModelMetadata(messages.ModelMetadataRequest(name="tiny"))
    assert server.name == "hawkvision"
    assert list(model.versions) == ["1"]
    assert [(t.name, t.datatype, list(t.shape)) for t in model.inputs] == [("image", "BYTES", [-1])]
    assert list(model.outputs[0].shape) == [-1, 4]
