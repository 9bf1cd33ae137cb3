"""Where a store is, by its URL: read right, or refused in words without a secret."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.errors import HawkVisionError, InvalidRequest
from hawkvision.tracking.store.memory import MemoryStore
from hawkvision.tracking.store.redis.address import Node, RedisAddress, Tls
from hawkvision.tracking.store.registry import open_store
from tests.models import build_tiny_repository

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://h", RedisAddress("server", (Node("h", 6379),))),
        ("redis://h:1/3", RedisAddress("server", (Node("h", 1),), database=3)),
        ("redis://h:1?db=3", RedisAddress("server", (Node("h", 1),), database=3)),
        ("redis://[2001:db8::1]:7", RedisAddress("server", (Node("2001:db8::1", 7),))),
        ("redis://[::1]", RedisAddress("server", (Node("::1", 6379),))),
        (
            "redis://fleet:p%40ss%2Fw%3A%25@h",
            RedisAddress("server", (Node("h", 6379),), username="fleet", password="p@ss/w:%"),
        ),
        ("redis://:a:b@h", RedisAddress("server", (Node("h", 6379),), password="a:b")),
        ("rediss://h", RedisAddress("server", (Node("h", 6379),), tls=Tls())),
        (
            "rediss://h?ssl_ca_certs=/a&ssl_certfile=/b&ssl_keyfile=/c&ssl_check_hostname=false",
            RedisAddress(
                "server", (Node("h", 6379),), tls=Tls("/a", "/b", "/c", check_hostname=False)
            ),
        ),
        (
            "rediss://h?ssl_cert_reqs=none",
            RedisAddress("server", (Node("h", 6379),), tls=Tls(verify=False)),
        ),
        ("unix:///run/my%20redis.sock", RedisAddress("server", path="/run/my redis.sock")),
        (
            "unix://u:p@/x.sock?db=2",
            RedisAddress("server", path="/x.sock", database=2, username="u", password="p"),
        ),
        (
            "unix:///x.sock?username=u&password=p%26",
            RedisAddress("server", path="/x.sock", username="u", password="p&"),
        ),
        (
            "redis+sentinel://a,b:2,[::1]:3",
            RedisAddress(
                "sentinel", (Node("a", 26379), Node("b", 2), Node("::1", 3)), service="mymaster"
            ),
        ),
        (
            "rediss+sentinel://u:p%3A@a/my%2Fservice/4?sentinel_username=s&sentinel_password=t%26",
            RedisAddress(
                "sentinel",
                (Node("a", 26379),),
                service="my/service",
                database=4,
                username="u",
                password="p:",
                sentinel_username="s",
                sentinel_password="t&",
                tls=Tls(),
            ),
        ),
        (
            "redis+cluster://u:p@a,b:2",
            RedisAddress("cluster", (Node("a", 6379), Node("b", 2)), username="u", password="p"),
        ),
        ("redis+cluster://a/0", RedisAddress("cluster", (Node("a", 6379),))),
    ],
)
def test_an_address_is_read(url: str, address: RedisAddress) -> None:
    assert RedisAddress.parse(url) == address


BAD = [
    "",
    "localhost:6379",
    "http://h",
    "redis:/h",
    "redis://",
    "redis://:6379",
    "redis://h:0",
    "redis://h:65536",
    "redis://h:port",
    "redis://h:",
    "redis://h/x",
    "redis://h/1/2",
    "redis://h/1?db=1",
    "redis://h,g",
    "redis://[::1",
    "redis://::1",
    "redis://[h]",
    "redis://[::1]6379",
    "redis://h?decode_responses=true",
    "redis://h?ssl_ca_certs=/x",
    "redis://h?sentinel_password=x",
    "redis://h?db",
    "redis://h?db=1&db=2",
    "redis://h#x",
    "rediss://h?ssl_cert_reqs=perhaps",
    "rediss://h?ssl_check_hostname=1",
    "redisss://h",
    "redis+sentinel://",
    "redis+sentinel://a,/s",
    "redis+sentinel://a:b/s",
    "redis+sentinel://a/s/x",
    "redis+sentinel://a/s?password=x",
    "redis+cluster://a/1",
    "redis+cluster://",
    "unix://h/x.sock",
    "unix://",
    "unix:///",
]


@pytest.mark.parametrize("url", BAD)
def test_an_address_that_cannot_be_is_refused_in_one_way(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        open_store(url)
    assert caught.value.hint and "\n" not in caught.value.message


@pytest.mark.parametrize(
    "url",
    [
        f"redis://u:{SECRET}@h:x",
        f"redis://u:{SECRET}@h?x=1",
        f"redis://u:{SECRET}@",
        f"redis://u:{SECRET}/@h",
        f"redis://u:{SECRET}#@h",
        f"redis://u:?{SECRET}=1@h",
        f"redis://u:/{SECRET}@h:1",
        f"redis://h:{SECRET}",
        f"redis://[{SECRET}]",
        f"redis://u:{SECRET}@[::1",
        f"{SECRET}@h",
        f"u:{SECRET}@h:6379",
        f"http://u:{SECRET}@h",
        f"redis+sentinel://a/s?sentinel_password={SECRET}&x=1",
        f"redis+sentinel://a/s?sentinel_password={SECRET}@",
        f"redis+cluster://:{SECRET}@a/7",
        f"unix://:{SECRET}@h/x",
        f"rediss://:{SECRET}@h?ssl_ca_certs=/nowhere",
    ],
)
def test_no_refusal_repeats_a_password(url: str) -> None:
    with pytest.raises(HawkVisionError) as caught:
        open_store(url)
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in f"{error}{getattr(error, 'hint', '')}"
        error = error.__cause__ or error.__context__


def test_an_address_shows_no_password() -> None:
    url = f"rediss+sentinel://u:{SECRET}@a/s?sentinel_password={SECRET}2"
    address = RedisAddress.parse(url)
    assert SECRET not in repr(address)
    assert SECRET not in address.without_secrets(f"sentinel said {SECRET} and {SECRET}2")


def test_a_file_that_is_not_there_is_said_by_its_name() -> None:
    with pytest.raises(InvalidRequest, match=r"/nowhere/ca\.pem"):
        open_store("rediss://h?ssl_ca_certs=/nowhere/ca.pem")


@given(st.text(max_size=60))
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    for url in (text, f"redis://{text}", f"rediss+sentinel://{text}", f"unix://{text}"):
        try:
            RedisAddress.parse(url)
        except InvalidRequest:
            continue


def test_alone_there_is_no_address() -> None:
    assert isinstance(open_store("memory"), MemoryStore)
    assert isinstance(open_store("off"), MemoryStore)


@pytest.mark.parametrize(
    "url", [f"redis://u:{SECRET}@[::1", f"redis://:{SECRET}@h:99999", "redis://h?x=1", "ftp://h"]
)
def test_an_agent_says_in_a_few_words_what_is_wrong(url: str, tmp_path: Path) -> None:
    repository = build_tiny_repository(tmp_path)
    words = [sys.executable, "-m", "hawkvision.cli", "edge", "--store", url, "--port", "0"]
    words += ["--model-repository", str(repository)]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=100)
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "address" in said and "Traceback" not in said and SECRET not in said
