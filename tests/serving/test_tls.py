"""PEM files that are watched, and what is said of a certificate before others say it."""

from __future__ import annotations

import asyncio
import ssl
import time
from pathlib import Path

import pytest

from hawkvision.errors import HawkVisionError
from hawkvision.serving.tls import PemFiles, Renewal, WatchedPems
from hawkvision.serving.tls.fault import OurSide, fault_of_handshake
from hawkvision.serving.tls.files import client_context
from hawkvision.serving.tls.validity import validity
from tests.certificates import Authority, Signed
from tests.processes import free_port

DAY_S = 86_400
NO_ALERT = "it hangs up once it has our certificate"
"""Where the other side's reset overtakes its alert."""


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("ours"))


def files_of(one: Signed) -> PemFiles:
    return PemFiles(one.certificate, one.key)


@pytest.mark.parametrize("of_server", [True, False])
@pytest.mark.parametrize("usage", ["", "serverAuth", "clientAuth"])
def test_what_a_certificate_is_good_for(ours: Authority, usage: str, of_server: bool) -> None:
    one = ours.sign(f"for-{usage or 'all'}", usage=usage)
    found = validity(files_of(one), of_server=of_server)
    if usage in ("", "serverAuth" if of_server else "clientAuth"):
        assert found.fault == ""
        assert found.not_after == pytest.approx(time.time() + 2 * DAY_S, abs=3600)
        assert found.fault_at(time.time()) == ""
        assert found.fault_at(time.time() + 3 * DAY_S) == "certificate has expired"
    else:
        assert "purpose" in found.fault


@pytest.mark.parametrize("of_server", [True, False])
def test_one_that_has_expired(ours: Authority, of_server: bool) -> None:
    one = ours.sign("late", days=-1)
    assert validity(files_of(one), of_server=of_server).fault == "certificate has expired"


def test_no_text_of_files_holds_the_key(ours: Authority) -> None:
    watched = WatchedPems(PemFiles(ours.certificate, ours.key, ours.ca), "files")
    assert "PRIVATE" not in repr(watched.pems)
    with pytest.raises(HawkVisionError) as caught:
        WatchedPems(PemFiles(ours.key, ours.key), "files")
    assert "PRIVATE" not in f"{caught.value}{caught.value.__cause__}"


async def test_a_file_in_place_of_a_link_is_seen(ours: Authority, tmp_path: Path) -> None:
    """As orchestrators renew: a link to a folder is turned."""
    for number in ("1", "2"):
        ours.sign(f"linked-{number}").copy(tmp_path / number)
        for path in (tmp_path / number).iterdir():
            path.rename(path.with_stem("mine"))
    link = tmp_path / "now"
    link.symlink_to(tmp_path / "1")
    watched = WatchedPems(PemFiles(link / "mine.pem", link / "mine.key"), "files")
    told: list[bool] = []
    watched.changed.append(lambda: told.append(True))
    await watched.look()
    assert told == []
    other = tmp_path / "next"
    other.symlink_to(tmp_path / "2")
    other.rename(link)
    await watched.look()
    assert told == [True]
    assert watched.pems.cert == (tmp_path / "2" / "mine.pem").read_bytes()


async def test_a_file_that_goes_away_changes_nothing(ours: Authority, tmp_path: Path) -> None:
    one = ours.sign("goes").copy(tmp_path / "used")
    watched = WatchedPems(files_of(one), "files")
    before = watched.pems
    one.key.unlink()
    await watched.look()
    assert watched.pems is before


class Looked:
    """Counts how it was looked at."""

    def __init__(self, *, fails: bool = False) -> None:
        self.closely: list[bool] = []
        self._fails = fails

    async def look(self, *, closely: bool = False) -> None:
        self.closely.append(closely)
        if self._fails:
            raise RuntimeError("as told")


async def until(times: int, one: Looked) -> None:
    async with asyncio.timeout(60):
        while len(one.closely) < times:
            await asyncio.sleep(0.005)


async def test_it_looks_by_itself_and_one_that_fails_holds_up_no_other() -> None:
    renewal, bad, good = Renewal(0.01), Looked(fails=True), Looked()
    renewal.add(bad)
    renewal.add(good)
    renewal.start()
    await until(3, good)
    renewal.now()
    await until(len(good.closely) + 3, good)
    await renewal.close()
    assert good.closely.count(True) == 1
    assert len(bad.closely) >= len(good.closely)


async def test_without_a_time_it_looks_when_told() -> None:
    renewal, one = Renewal(0.0), Looked()
    renewal.add(one)
    renewal.start()
    await asyncio.sleep(0.1)
    assert one.closely == []
    renewal.now()
    await until(1, one)
    await renewal.close()
    assert one.closely == [True]


async def _served(context: ssl.SSLContext) -> tuple[asyncio.Server, int]:
    """A server of Python's, which sends alerts."""

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=context)
    return server, server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        ("right", {""}),
        ("none", {"it asks for our certificate, and none is given", NO_ALERT}),
        ("stranger", {"it does not know the authority of our certificate", NO_ALERT}),
    ],
)
async def test_alerts_are_words(
    ours: Authority, tmp_path: Path, shown: str, said: set[str]
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(ours.ca))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(ours.certificate, ours.key)
    context.set_alpn_protocols(["h2"])
    server, port = await _served(context)
    signer = Authority.make(tmp_path) if shown == "stranger" else ours
    one = signer.sign("shown")
    files = PemFiles(one.certificate, one.key, ours.ca)
    if shown == "none":
        files = PemFiles(ca=ours.ca)
    mine = OurSide(client_context(files), shows=shown != "none")
    found = await asyncio.to_thread(fault_of_handshake, "127.0.0.1", port, mine)
    server.close()
    assert found.replace("as we show no", "once it has our") in said


def test_where_nobody_is_tls_is_not_the_reason(ours: Authority) -> None:

    mine = OurSide(client_context(PemFiles(ca=ours.ca)), shows=False)
    assert fault_of_handshake("127.0.0.1", free_port(), mine) == ""
    assert fault_of_handshake("127.0.0.1", free_port(), None) == ""
