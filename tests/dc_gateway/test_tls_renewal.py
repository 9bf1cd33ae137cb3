"""Certificates of a gateway that are renewed, do not fit together, or end the start."""

from __future__ import annotations

import asyncio
import logging
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dc_gateway.config import GatewayConfig
from dc_gateway.server import Gateway
from hawkvision.errors import HawkVisionError
from tests.certificates import Authority, Signed
from tests.dc_gateway.calls import until
from tests.dc_gateway.conftest import Serve
from tests.dc_gateway.tls import (
    Code,
    ask,
    asked,
    channel_to,
    der,
    eventually,
    metrics,
    mutual,
    shown,
)


@pytest.mark.parametrize("told", [True, False], ids=["told", "watched"])
async def test_renewed_certificates_are_taken_up_under_load_and_no_call_is_lost(
    serve: Serve, ours: Authority, agent: Signed, tmp_path: Path, told: bool
) -> None:
    names = "IP:127.0.0.1,DNS:localhost"
    files = ours.sign("first", names).copy(tmp_path / "used")
    every = 0.0 if told else 0.05
    settings = mutual(ours, tls_cert=files.certificate, tls_key=files.key, watch_certificates=every)
    async with serve(**settings) as served, channel_to(served, ours.ca, agent) as lasting:
        ended: list[Code] = []
        stop = asyncio.Event()

        async def steady() -> None:
            while not stop.is_set():
                ended.append(await ask(lasting))

        async def coming_and_going() -> None:
            while not stop.is_set():
                ended.append(await asked(served, ours.ca, agent))

        load = [asyncio.create_task(one()) for one in (steady, steady, coming_and_going)]
        for number in range(3):
            new = ours.sign(f"renewed-{number}", names)
            files.replace_with(new)
            if told:
                served.gateway.reload()

            async def is_new(new: Signed = new) -> bool:
                return await shown(served, ours.ca, agent) == der(new)

            await eventually(is_new)
        await until(lambda: len(ended) > 50)
        stop.set()
        await asyncio.gather(*load)
        assert set(ended) == {Code.OK}


async def test_what_does_not_fit_together_never_takes_over_and_is_said_once(
    serve: Serve,
    ours: Authority,
    agent: Signed,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    names = "IP:127.0.0.1,DNS:localhost"
    former = ours.sign("former", names)
    files = former.copy(tmp_path / "used")
    new = ours.sign("new", names)
    settings = mutual(ours, tls_cert=files.certificate, tls_key=files.key, watch_certificates=0.01)

    def warned() -> list[str]:
        return [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]

    with caplog.at_level(logging.INFO):
        async with serve(**settings) as served:
            files.key.write_bytes(new.key.read_bytes())  # half of a renewal
            await until(lambda: bool(warned()))
            await asyncio.sleep(0.1)  # ten looks more
            assert await shown(served, ours.ca, agent) == der(former)
            assert await asked(served, ours.ca, agent) is Code.OK
            assert len(warned()) == 1
            assert "the former files stay in use" in warned()[0]
            assert str(files.certificate) in warned()[0]
            files.certificate.write_bytes(new.certificate.read_bytes())

            async def is_new() -> bool:
                return await shown(served, ours.ca, agent) == der(new)

            await eventually(is_new)
    assert len(warned()) == 1


async def test_an_authority_that_is_taken_away_lets_nobody_in_any_more(
    serve: Serve, ours: Authority, agent: Signed, tmp_path: Path
) -> None:
    others = Authority.make(tmp_path)
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(ours.ca.read_bytes() + others.ca.read_bytes())
    guest = others.sign("guest")
    async with serve(**mutual(ours, tls_client_ca=trusted, metrics_port=0)) as served:
        port = served.gateway.metrics_port
        assert await asked(served, ours.ca, guest) is Code.OK
        assert (await metrics(port, ours.ca, guest)).startswith(b"HTTP/1.1 200")
        trusted.write_bytes(ours.ca.read_bytes())
        served.gateway.reload()

        async def refused() -> bool:
            return await asked(served, ours.ca, guest) is Code.UNAVAILABLE

        await eventually(refused)
        assert await metrics(port, ours.ca, guest) == b""
        assert await asked(served, ours.ca, agent) is Code.OK


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"tls_cert": "server.pem"}, "--tls-cert without --tls-key"),
        ({"tls_client_ca": "ca.pem"}, "--tls-client-ca without --tls-cert and --tls-key"),
        ({"tls_cert": "server.pem", "tls_key": "ca.key"}, "server.pem: .*mismatch"),
        ({"tls_cert": "server.pem", "tls_key": "away.key"}, "No such file"),
        ({"tls_cert": "ca.key", "tls_key": "ca.key"}, "ca.key"),
        ({"allow_clients": ("a",)}, "--allow-client without --tls-client-ca"),
        ({"upstream_cert": "server.pem"}, "need --upstream-ca"),
        ({"upstream_ca": "ca.pem", "upstream_key": "server.key"}, "belong together"),
    ],
)
async def test_what_cannot_be_ends_the_start_with_its_reason(
    ours: Authority, settings: dict[str, Any], said: str
) -> None:
    folder = ours.ca.parent
    paths = {
        name: value if name == "allow_clients" else folder / value
        for name, value in settings.items()
    }
    with pytest.raises(HawkVisionError, match=said):
        Gateway(GatewayConfig(**paths), {})


async def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked_for_it(
    ours: Authority, tmp_path: Path
) -> None:
    openssl = shutil.which("openssl")
    assert openssl is not None
    locked = tmp_path / "locked.key"
    words = ["pkey", "-in", str(ours.key), "-aes256", "-passout", "pass:x", "-out", str(locked)]
    subprocess.run([openssl, *words], check=True, capture_output=True)
    with pytest.raises(HawkVisionError, match="passphrase"):
        Gateway(GatewayConfig(tls_cert=ours.certificate, tls_key=locked), {})


async def test_a_certificate_that_has_expired_is_said_at_the_start(
    serve: Serve, ours: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    late = ours.sign("late-server", "IP:127.0.0.1", days=-1)
    async with serve(tls_cert=late.certificate, tls_key=late.key) as served:
        assert await asked(served, ours.ca) is Code.UNAVAILABLE
    assert f"the server's certificate: {late.certificate}: certificate has expired" in caplog.text


# Other ports, and who does not finish the handshake.
