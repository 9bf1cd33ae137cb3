"""Repositories at a URL, over real HTTP with connections that break."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import onnx
import orjson
import pytest
from aiohttp import web
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.cli.models import command
from hawkvision.errors import RepositoryError, UnknownTask
from hawkvision.repository import Repository, read_task, write_task
from hawkvision.repository.index import parse_index, write_index
from hawkvision.repository.pull import Puller
from tests.models import build_tiny_repository
from tests.taskbuild.exports import beside


@dataclass
class Behaviour:
    """What the server does wrong, and what it sent."""

    cut_after: int = 0
    cuts: int = 0
    ranges: bool = True
    flip: str = ""
    seen: list[tuple[str, str | None]] = field(default_factory=list)
    sent: int = 0


@contextlib.contextmanager
def served(root: Path, behaviour: Behaviour) -> Iterator[str]:
    """Serve a folder from a thread of its own."""

    async def answer(request: web.Request) -> web.StreamResponse:
        name = request.match_info["path"]
        asked = request.headers.get("Range") if behaviour.ranges else None
        behaviour.seen.append((name, asked))
        path = root / name
        if not path.is_file():
            return web.Response(status=404)
        data = path.read_bytes()
        if name == behaviour.flip:
            data = data[:-1] + bytes([data[-1] ^ 1])
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        reply = web.StreamResponse(status=206 if asked else 200)
        reply.content_length = len(data) - start
        await reply.prepare(request)
        body = data[start:]
        if behaviour.cuts > 0 and len(body) > behaviour.cut_after:
            behaviour.cuts -= 1
            await reply.write(body[: behaviour.cut_after])
            behaviour.sent += min(len(body), behaviour.cut_after)
            await asyncio.sleep(0.05)
            assert request.transport is not None
            request.transport.close()
            return reply
        await reply.write(body)
        behaviour.sent += len(body)
        return reply

    loop = asyncio.new_event_loop()
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    loop.run_until_complete(runner.setup())
    site = web.TCPSite(runner, "127.0.0.1", 0)
    loop.run_until_complete(site.start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = build_tiny_repository(tmp_path_factory.mktemp("source"))
    (root / "tiny" / "1" / "notes.bin").write_bytes(bytes(range(256)) * 800)
    write_index(root)
    return root


def total(root: Path) -> int:
    return sum(path.stat().st_size for path in (root / "tiny" / "1").iterdir())


def test_a_task_is_fetched_once(source: Path, tmp_path: Path) -> None:
    behaviour = Behaviour()
    with served(source, behaviour) as url:
        puller = Puller(url, tmp_path)
        first = puller.pull(puller.index(), "tiny")
        asked = len(behaviour.seen)
        second = puller.pull(puller.index(), "tiny")
    assert first.fetched and not second.fetched
    assert len(behaviour.seen) == asked + 1
    assert Repository(tmp_path).open("tiny").version == "1"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny"]


def test_what_came_before_the_break_is_not_sent_again(source: Path, tmp_path: Path) -> None:
    behaviour = Behaviour(cut_after=100_000, cuts=2)
    with served(source, behaviour) as url:
        puller = Puller(url, tmp_path)
        index = puller.index()
        behaviour.sent = 0
        assert puller.pull(index, "tiny").fetched
    resumed = [
        int(asked.removeprefix("bytes=").rstrip("-"))
        for name, asked in behaviour.seen
        if name == "tiny/1/notes.bin" and asked is not None
    ]
    lost = 16_384  # what was under way when the connection broke may have to come again
    assert len(resumed) == 2 and 100_000 - lost <= resumed[0] <= 100_000
    assert total(source) <= behaviour.sent <= total(source) + 2 * lost
    copy = tmp_path / "tiny" / "1" / "notes.bin"
    assert copy.read_bytes() == (source / "tiny" / "1" / "notes.bin").read_bytes()


def test_a_later_run_resumes_an_earlier_one(source: Path, tmp_path: Path) -> None:
    with served(source, Behaviour(cut_after=30_000, cuts=99)) as url:
        puller = Puller(url, tmp_path)
        index = puller.index()
        with pytest.raises(RepositoryError, match="breaks off"):
            puller.pull(index, "tiny")
    assert not (tmp_path / "tiny").exists()
    behaviour = Behaviour()
    with served(source, behaviour) as url:
        Puller(url, tmp_path).pull(index, "tiny")
    assert behaviour.sent < total(source)
    assert Repository(tmp_path).open("tiny").version == "1"


def test_a_server_without_ranges_starts_over(source: Path, tmp_path: Path) -> None:
    with served(source, Behaviour(cut_after=100_000, cuts=1, ranges=False)) as url:
        puller = Puller(url, tmp_path)
        assert puller.pull(puller.index(), "tiny").fetched
    assert Repository(tmp_path).open("tiny").version == "1"


def test_a_flipped_bit_is_noticed_and_nothing_appears(source: Path, tmp_path: Path) -> None:
    with served(source, Behaviour(flip="tiny/1/dc.onnx")) as url:
        puller = Puller(url, tmp_path)
        with pytest.raises(RepositoryError, match=r"dc\.onnx does not match"):
            puller.pull(puller.index(), "tiny")
    assert not (tmp_path / "tiny").exists()


def test_a_damaged_copy_is_repaired(source: Path, tmp_path: Path) -> None:
    behaviour = Behaviour()
    with served(source, behaviour) as url:
        puller = Puller(url, tmp_path)
        puller.pull(puller.index(), "tiny")
        (tmp_path / "tiny" / "1" / "edge.onnx").write_bytes(b"damage")
        behaviour.seen.clear()
        assert puller.pull(puller.index(), "tiny").fetched
    assert Repository(tmp_path).open("tiny").version == "1"
    assert [name for name, _ in behaviour.seen] == ["index.json", "tiny/1/edge.onnx"]


def test_an_edge_leaves_out_the_large_model(source: Path, tmp_path: Path) -> None:
    with served(source, Behaviour()) as url:
        puller = Puller(url, tmp_path)
        index = puller.index()
        puller.pull(index, "tiny", rungs=["edge"])
        assert not puller.pull(index, "tiny", rungs=["edge"]).fetched
        assert not Repository(tmp_path).open("tiny").rung("dc").present
        with pytest.raises(RepositoryError, match="no rung 'middle'"):
            puller.pull(index, "tiny", rungs=["middle"])


def test_weights_beside_a_model_come_and_stay_away_with_it(source: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(source, tmp_path / "source"))
    tmp_path = tmp_path / "here"
    folder = source / "tiny" / "1"
    for name in ("edge.onnx", "dc.onnx"):
        beside(onnx.load(folder / name), folder / name)
    write_task(read_task(folder))
    write_index(source)
    with served(source, Behaviour()) as url:
        puller = Puller(url, tmp_path)
        index = puller.index()
        puller.pull(index, "tiny", rungs=["edge"])
        here = {path.name for path in (tmp_path / "tiny" / "1").iterdir()}
        assert {"edge.onnx", "edge.onnx.data"} <= here
        assert not here & {"dc.onnx", "dc.onnx.data"}
        Repository(tmp_path).open("tiny").rung("edge").check_digest()
        puller.pull(index, "tiny")
        Repository(tmp_path).open("tiny").rung("dc").check_digest()
    (folder / "dc.onnx.data").unlink()
    with pytest.raises(RepositoryError, match=r"dc\.onnx\.data is missing"):
        write_index(source)


def test_what_is_not_there_is_said(source: Path, tmp_path: Path) -> None:
    with served(source, Behaviour()) as url:
        puller = Puller(url, tmp_path)
        index = puller.index()
        with pytest.raises(UnknownTask, match="nope") as caught:
            puller.pull(index, "nope")
        assert "tiny" in caught.value.hint
        with pytest.raises(UnknownTask, match="version '9'"):
            puller.pull(index, "tiny", "9")
        with pytest.raises(RepositoryError, match="404") as missing:
            Puller(f"{url}/elsewhere", tmp_path).index()
        assert "models index" in missing.value.hint
    for address in ("ftp://host/x", "nonsense", "http://"):
        with pytest.raises(RepositoryError, match="HTTP address"):
            Puller(address, tmp_path)


def test_a_password_in_the_address_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError) as caught:
        Puller("http://user:secret@127.0.0.1:9/x", tmp_path).index()
    assert "secret" not in f"{caught.value} {caught.value.hint}"


def test_the_command_line_pulls(source: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    with served(source, Behaviour()) as url:
        options = ["pull", url, "--model-repository", str(tmp_path)]
        first, second = (runner.invoke(command, options) for _ in range(2))
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "tiny version 1: fetched" in first.output
    assert "already here" in second.output


@given(
    st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.integers(-5, 10**12) | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["schema", "tasks", "name", "bytes", "sha256", "t", ".."]),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=12,
        ).map(orjson.dumps),
    )
)
def test_any_index_parses_or_is_refused(data: bytes) -> None:
    with contextlib.suppress(RepositoryError):
        parse_index(data)


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a/b", "a\\b", "", ".hidden", "x" * 100, "a\x00b"]
)
def test_names_that_lead_elsewhere_are_refused(name: str) -> None:
    file = {"name": name, "bytes": 1, "sha256": "0" * 64}
    whole = {"name": "task.toml", "bytes": 1, "sha256": "0" * 64}
    body = {"schema": 1, "tasks": {"t": {"1": [whole, file]}}}
    with pytest.raises(RepositoryError, match="no name"):
        parse_index(orjson.dumps(body))
    with pytest.raises(RepositoryError, match="no name"):
        parse_index(orjson.dumps({"schema": 1, "tasks": {name: {"1": [whole]}}}))
