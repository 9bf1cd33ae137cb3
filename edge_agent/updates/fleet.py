"""An agent's part in a fleet, where answers and labels are also looked at by a trial."""

from __future__ import annotations

from typing import Any

from edge_agent.fleet.fleet import Fleet
from edge_agent.outcome import Outcome
from edge_agent.updates.shadow import Shadow
from hawkvision.tracking.receipts import Receipt
from hawkvision.tracking.trust import is_vouched


class UpdatingFleet(Fleet):
    """See `Fleet`. With `only_vouched`, labels of apps without a key judge no version."""

    shadow: Shadow | None = None
    only_vouched = False

    def answered(self, outcome: Outcome) -> str:
        """See `Fleet.answered`."""
        request_id = super().answered(outcome)
        if self.shadow is not None:
            self.shadow.answered(outcome, request_id)
        return request_id

    async def feed_back(self, receipt: Receipt, truth: Any) -> bool:
        """See `Fleet.feed_back`."""
        is_first = await super().feed_back(receipt, truth)
        trusted = is_vouched(receipt.app) or not self.only_vouched
        if is_first and trusted and self.shadow is not None:
            self.shadow.labelled(receipt, truth)
        return is_first
