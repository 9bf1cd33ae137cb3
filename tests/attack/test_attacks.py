"""Each attack does what its line in the table says, seen from the other end of its sockets."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.attack import wire
from tests.attack.access import Doors
from tests.attack.attack import Tally, Target
from tests.attack.attacks import ATTACKS, MIX, names_of
from tests.attack.connections import SILENT
from tests.attack.deployment import DESCRIPTORS

PATIENCE_S = 60.0
SSRC = 0x1234_5678


@dataclass
class Heard:
    """What a listener got: bytes of every connection, and how many were given up."""

    connections: list[bytearray] = field(default_factory=list)
    given_up: int = 0
    datagrams: list[bytes] = field(default_factory=list)

    def frames(self) -> Counter[int]:
        """HTTP/2 frames by type, of all connections."""
        return Counter(kind for said in self.connections for kind, _ in frames_in(bytes(said)))


def frames_in(said: bytes) -> list[tuple[int, int]]:
    """(type, length of payload) of the whole frames after the preface."""
    found, at = [], len(wire.PREFACE)
    while at + 9 <= len(said):
        length = int.from_bytes(said[at : at + 3], "big")
        if at + 9 + length <= len(said):
            found.append((said[at + 3], length))
        at += 9 + length
    return found


@asynccontextmanager
async def listening(heard: Heard) -> AsyncIterator[Target]:
    """A TCP port that answers nothing, and a UDP port."""
    loop = asyncio.get_running_loop()
    open_ears: set[Ear] = set()

    class Ear(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.said = bytearray()
            self.transport = transport
            heard.connections.append(self.said)
            open_ears.add(self)

        def data_received(self, data: bytes) -> None:
            self.said += data

        def connection_lost(self, exc: Exception | None) -> None:
            heard.given_up += 1
            open_ears.discard(self)

    class Post(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            heard.datagrams.append(data)

    server = await loop.create_server(Ear, "127.0.0.1", 0)
    post, _ = await loop.create_datagram_endpoint(Post, ("127.0.0.1", 0))
    tcp = int(server.sockets[0].getsockname()[1])
    udp = int(post.get_extra_info("sockname")[1])
    try:
        yield Target("127.0.0.1", tcp, tcp, udp, SSRC, rest=tcp, edge_grpc=tcp)
    finally:
        server.close()
        post.close()
        for ear in open_ears:
            ear.transport.abort()
        while open_ears:
            await asyncio.sleep(0.01)


def heads(heard: Heard) -> list[bytes]:
    return [bytes(said) for said in heard.connections if b"\r\n\r\n" in said]


def silent(heard: Heard) -> bool:
    return len(heard.connections) >= 20 and not any(heard.connections)


def slow_headers(heard: Heard) -> bool:
    begun = [said for said in heard.connections if len(said) >= 2]
    return len(begun) >= 5 and all(b"\r\n\r\n" not in said for said in begun)


def slow_bodies(heard: Heard) -> bool:
    bodies = [said.split(b"\r\n\r\n")[1] for said in heads(heard)]
    return len(bodies) >= 5 and any(2 <= len(body) < 100 for body in bodies)


def unsent(heard: Heard) -> bool:
    found = heads(heard)
    return len(found) >= 5 and all(
        b"Content-Length: 33554432" in said and said.endswith(b"\r\n\r\n") for said in found
    )


def aborted(heard: Heard) -> bool:
    return heard.given_up >= 5 and all(len(said) < 500_000 for said in heard.connections)


def stuck(heard: Heard) -> bool:
    head = len(b"POST /v1/classify HTTP/1.1\r\nHost: attacked\r\nContent-Length: 33554432\r\n\r\n")
    return any(len(said) == head + 33_554_431 for said in heard.connections)


def unread(heard: Heard) -> bool:
    return any(said.count(b"GET /v1/tasks") >= 50 for said in heads(heard))


def pipelined(heard: Heard) -> bool:
    return any(said.count(b"GET /v2") == 20_000 for said in heads(heard))


def crumbs(heard: Heard) -> bool:
    return any(said.count(b"1\r\nx\r\n") == 60_000 for said in heads(heard))


def unfinished(heard: Heard) -> bool:
    frames = heard.frames()
    return frames[wire.HEADERS] >= 100 and not frames[wire.DATA]


def grpc_stuck(heard: Heard) -> bool:
    frames = heard.frames()
    return frames[wire.DATA] >= 5 * frames[wire.HEADERS] >= 25


def resets(heard: Heard) -> bool:
    frames = heard.frames()
    return frames[wire.RST_STREAM] >= 50 and frames[wire.RST_STREAM] == frames[wire.HEADERS]


def pings(heard: Heard) -> bool:
    frames = heard.frames()
    return frames[wire.PING] >= 50 and frames[wire.SETTINGS] >= 50


def metadata(heard: Heard) -> bool:
    return any(
        sum(size for kind, size in frames_in(bytes(said)) if kind != wire.SETTINGS) > 1_000_000
        for said in heard.connections
    )


def ssrcs(heard: Heard) -> list[int]:
    """Of datagrams that are long enough to hold one, RTP or RTCP."""
    return [
        int.from_bytes(one[at : at + 4], "big")
        for one in heard.datagrams
        if len(one) >= 12
        for at in (4 if 192 <= one[1] <= 223 else 8,)
    ]


def noise(heard: Heard) -> bool:
    return {0, 1, 11, 12, 1400} <= {len(one) for one in heard.datagrams}


def forged(heard: Heard) -> bool:
    kinds = {one[1] for one in heard.datagrams if len(one) > 1}
    both = any(192 <= kind <= 223 for kind in kinds) and any(kind & 0x7F == 26 for kind in kinds)
    return both and len(heard.datagrams) >= 100 and set(ssrcs(heard)) == {SSRC}


def sources(heard: Heard) -> bool:
    return len(heard.datagrams) >= 100 and len(set(ssrcs(heard))) > 0.9 * len(heard.datagrams)


def hellos(heard: Heard) -> bool:
    """Whole ClientHellos, and halves of the same length of one."""
    sizes = {len(said) for said in heard.connections if said[:2] == b"\x16\x03"}
    return len(sizes) == 2 and min(sizes) == max(sizes) // 2


def slow_hellos(heard: Heard) -> bool:
    return sum(2 <= len(said) < 60 and said[:2] == b"\x16\x03" for said in heard.connections) >= 5


def no_hellos(heard: Heard) -> bool:
    begun = {bytes(said[:3]) for said in heard.connections}
    return {b"GET", b"PRI", b"\x16\x03\x01", b"\x15\x03\x03", b"\x80\x2e\x01"} <= begun


def key_guesses(heard: Heard) -> bool:
    found = b"".join(heads(heard))
    keys = set(re.findall(rb"hvk_[\w-]{43}", found))
    return len(keys) >= 2 and b"k" * 8000 in found and b"Basic " in found


def key_misuse(heard: Heard) -> bool:
    asked = {said.split(b" HTTP/")[0] for said in heads(heard)}
    return {b"PUT /v1/apps/gate", b"GET /metrics"} <= asked


def rest_slow(heard: Heard) -> bool:
    return slow_bodies(heard) and all(
        said.startswith(b"POST /v2/models/roadsigns/infer") for said in heads(heard) if said
    )


def deaf(heard: Heard) -> bool:
    return sum(said.startswith(b"GET /v1/dashboard/events") for said in heads(heard)) >= 5


def described(heard: Heard) -> bool:
    asked = {said.split(b" HTTP/")[0] for said in heads(heard)}
    return {b"GET /openapi.json", b"GET /"} <= asked


SEEN: dict[str, Callable[[Heard], bool]] = {
    "silent": silent,
    "silent-many": silent,
    "slow-headers": slow_headers,
    "slow-bodies": slow_bodies,
    "unsent": unsent,
    "aborted": aborted,
    "stuck": stuck,
    "unread": unread,
    "pipelined": pipelined,
    "crumbs": crumbs,
    "grpc-silent": silent,
    "grpc-unfinished": unfinished,
    "grpc-stuck": grpc_stuck,
    "grpc-resets": resets,
    "grpc-pings": pings,
    "grpc-metadata": metadata,
    "edge-silent": silent,
    "edge-calls": unfinished,
    "edge-stuck": grpc_stuck,
    "edge-resets": resets,
    "rest-silent": silent,
    "rest-slow": rest_slow,
    "events": deaf,
    "described": described,
    "tls-silent": silent,
    "tls-half": hellos,
    "tls-slow": slow_hellos,
    "tls-garbage": no_hellos,
    "key-guesses": key_guesses,
    "key-misuse": key_misuse,
    "udp-noise": noise,
    "udp-forged": forged,
    "udp-sources": sources,
}


@pytest.mark.parametrize("name", SEEN)
async def test_an_attack_does_what_it_says(name: str) -> None:
    heard = Heard()
    async with listening(heard) as target:
        run: Awaitable[None] = ATTACKS[name].run(target, Tally())
        attacking = asyncio.ensure_future(run)
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not SEEN[name](heard):
                    assert not attacking.done(), attacking.exception()
                    await asyncio.sleep(0.02)
        finally:
            attacking.cancel()
            await asyncio.wait([attacking])


def test_silent_connections_are_more_than_the_descriptors() -> None:
    assert SILENT > DESCRIPTORS


def test_the_mix_is_everything_but_overload() -> None:
    assert set(names_of(MIX)) == set(ATTACKS) - {"overload"}


def test_names_fit_the_table_and_are_words() -> None:
    assert all(re.fullmatch(r"[a-z-]{3,16}", name) for name in ATTACKS)
    assert {one.door for one in ATTACKS.values()} == {"HTTP", "gRPC", "REST", "UDP", "TLS"}


def test_without_tls_and_keys_no_attack_on_them_is_in_the_mix() -> None:
    plain = set(names_of(MIX, secure=False))
    assert set(names_of(MIX)) - plain == {one.name for one in ATTACKS.values() if one.secure}


def test_attackers_show_no_key_a_wrong_one_an_expired_one_and_an_insiders(tmp_path: Path) -> None:
    access = Doors.make(tmp_path).access
    shown = [access.attackers_headers() for _ in range(40)]
    kept = [one.get("X-API-Key") for one in shown]
    assert shown.count({}) == kept.count(access.weak) == kept.count(access.expired) == 10
    wrong = {one["Authorization"] for one in shown if "Authorization" in one}
    assert len(wrong) == 10
    assert not {access.key, access.busy} & set(kept)


def test_a_target_crosses_to_another_process_whole(tmp_path: Path) -> None:
    access = Doors.make(tmp_path).access
    for target in (Target("h", 1, 2, 3, 4), Target("h", 1, 2, 3, 4, access=access)):
        assert Target.parse(json.loads(json.dumps(target.as_dict()))) == target


def test_attackers_have_an_address_of_their_own() -> None:
    with socket.socket() as bound:
        bound.bind((Target("127.0.0.1", 1, 1, 1, 1).source, 0))
        assert bound.getsockname()[0] != "127.0.0.1"
