"""`/v1/gateways`: which gateways the agent asks, and how it sees them."""

from __future__ import annotations

from aiohttp import web

from edge_agent.upstream import GrpcUpstream
from hawkvision.contract.gateways import GatewayStatus, gateways_body
from hawkvision.json_schema import Listed
from hawkvision.serving.access.scopes import Scope
from hawkvision.serving.http.replies import json_reply
from hawkvision.serving.http.routes import Route
from hawkvision.serving.http.shapes import says


class GatewayRoutes:
    """The state of the way up."""

    def __init__(self, upstream: GrpcUpstream) -> None:
        self._upstream = upstream

    def table(self) -> list[Route]:
        """The routes."""
        shape = says(Listed("gateways", GatewayStatus))
        return [Route("GET", "/v1/gateways", self.gateways, Scope.READ, shape)]

    async def gateways(self, _request: web.Request) -> web.Response:
        """`GET /v1/gateways`."""
        return json_reply(gateways_body(self._upstream.gateways()))
