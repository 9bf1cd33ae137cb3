from __future__ import annotations

import pytest

from hawkvision.serving.peers import LOOPBACK, is_loopback, peer_of


@pytest.mark.parametrize(
    ("host", "peer"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("127.0.0.1", LOOPBACK),
        ("127.9.9.9", LOOPBACK),
        ("::1", LOOPBACK),
        ("::ffff:127.0.0.1", LOOPBACK),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("no address", "no address"),
    ],
)
def test_an_address_belongs_to_a_peer(host: str, peer: str) -> None:
    assert peer_of(host) == peer
    assert is_loopback(host) == (peer == LOOPBACK)
