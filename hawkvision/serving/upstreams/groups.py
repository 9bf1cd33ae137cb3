"""Upstreams as people name them: groups in order of preference, equals with commas between them."""

from __future__ import annotations

from collections.abc import Sequence

from hawkvision.errors import InvalidRequest
from hawkvision.serving.address import check_target, is_resolved

MOST = 32
"""Upstreams of one client: each has a connection, a health check and metrics of its own."""

Groups = tuple[tuple[str, ...], ...]
"""Addresses: those of the first group are asked first, those of one group share the calls."""


def parse_groups(texts: Sequence[str]) -> Groups:
    """`("a:1,b:1", "c:1")` is two groups, of two and of one. Raises InvalidRequest.

    A name of gRPC's own (`ipv4:1.2.3.4:1,5.6.7.8:1`) is one upstream, whatever commas it has.
    """
    groups = tuple(_members(text) for text in texts)
    flat = [one for group in groups for one in group]
    if not flat:
        raise InvalidRequest("no address is given", hint="Give HOST:PORT.")
    twice = next((one for one in flat if flat.count(one) > 1), None)
    if twice is not None:
        raise InvalidRequest(f"{twice!r} is given twice", hint="Name each address once.")
    if len(flat) > MOST:
        raise InvalidRequest(
            f"{len(flat)} addresses are more than {MOST}",
            hint="Put a load balancer, or one DNS name, before that many.",
        )
    return groups


def _members(text: str) -> tuple[str, ...]:
    if is_resolved(text):
        return (check_target(text),)
    return tuple(check_target(one.strip()) for one in text.split(","))
