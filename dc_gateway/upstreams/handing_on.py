"""A call in plain messages goes on to whoever answers whole calls, and its answer comes back."""

from __future__ import annotations

from dataclasses import replace

from dc_gateway.parameters import due_of, with_query
from dc_gateway.upstreams.base import TaskUpstream
from hawkvision.errors import UpstreamUnavailable
from hawkvision.oip.messages import InferReply, InferRequest
from hawkvision.oip.relay import message_of, reply_of
from hawkvision.serving.grpc.entrance import Call


async def handed_on(
    upstream: TaskUpstream, name: str, version: str, asked: InferRequest, call: Call
) -> InferReply:
    """The upstream's answer, by the time that the request's own parameters allow.

    Raises InvalidRequest, what the upstream refuses with, and UpstreamUnavailable for a reply that
    cannot be read.
    """
    given = with_query(asked.parameters, call.query)
    due = due_of(given, call.deadline)
    request = message_of(name, version, replace(asked, parameters=given))
    del asked
    call.hold(request.ByteSize())
    reply = await upstream.infer(request, replace(call, deadline=due))
    try:
        return reply_of(reply)
    except ValueError as error:
        raise UpstreamUnavailable(f"the upstream's reply cannot be read: {error}") from error
