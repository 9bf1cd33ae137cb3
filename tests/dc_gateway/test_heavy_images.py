"""Images that cost more than they declare, over real gRPC."""

from __future__ import annotations

import grpc
import grpc.aio
import pytest

from hawkvision.images import ImageLimits
from hawkvision.images.budget import BUDGET
from tests.dc_gateway.calls import infer_request
from tests.dc_gateway.conftest import Serve
from tests.images.bombs import png, progressive_jpeg
from tests.models import coloured_jpeg

LIMITS = ImageLimits(max_decode_bytes=8_000_000)


async def test_a_heavy_image_of_a_batch_is_named(serve: Serve) -> None:
    async with serve(limits=LIMITS) as served:
        for heavy, says in (
            (progressive_jpeg(1000, 1000), "more than 32 times"),
            (png(2000, 1900), "bytes of memory; the limit is 8000000"),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await served.stub.ModelInfer(infer_request(coloured_jpeg("red"), heavy))
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert "payload_too_large: image 1 of 2" in str(refused.value.details())
            assert says in str(refused.value.details())


async def test_one_after_another_a_batch_fits_and_beside_others_it_is_an_overload(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BUDGET, "patience_s", 0.0)
    batch = infer_request(*[png(1000, 1000)] * 8)
    async with serve(limits=LIMITS) as served:
        assert list((await served.stub.ModelInfer(batch)).outputs[0].shape) == [8, 4]
        with (
            BUDGET.hold(5_000_000, LIMITS.max_decode_bytes),
            pytest.raises(grpc.aio.AioRpcError) as refused,
        ):
            await served.stub.ModelInfer(batch)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "retry-after" in dict(refused.value.trailing_metadata() or ())
