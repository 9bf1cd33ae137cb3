"""`/v1/power`: what the machine draws, read anew for who asks."""

from __future__ import annotations

import asyncio

from aiohttp import web

from hawkvision.contract.power import PowerStatus
from hawkvision.power import PowerSampler, PowerState
from hawkvision.serving.access.scopes import Scope
from hawkvision.serving.http.replies import json_reply
from hawkvision.serving.http.routes import Route
from hawkvision.serving.http.shapes import says
from hawkvision.serving.shared import Shared

_GAP_S = 0.25
"""Between two readings that are asked for; who asks meanwhile shares the next one."""


class PowerRoutes:
    """Power, energy and temperature."""

    def __init__(self, sampler: PowerSampler) -> None:
        self._sampler = sampler
        self._sampled: Shared[None, PowerState] = Shared(_GAP_S)

    def table(self) -> list[Route]:
        """The routes."""
        return [Route("GET", "/v1/power", self.power, Scope.READ, says(PowerStatus))]

    async def power(self, _request: web.Request) -> web.Response:
        """`GET /v1/power`."""
        state = await self._sampled.get(None, lambda: asyncio.to_thread(self._sampler.sample))
        return json_reply(PowerStatus.of(state).as_dict())
