"""Nothing listens where others reach it before somebody has said who they are, or that it may."""

from __future__ import annotations

import pytest

from hawkvision.errors import HawkVisionError
from hawkvision.serving.exposure import check, refusal, stays_here

HERE = ("127.0.0.1", "127.8.9.10", "::1", "localhost", "::ffff:127.0.0.1")
OUT = ("0.0.0.0", "::", "", "192.0.2.1", "fe80::1%eth0", "camera.example", "127.0.0.1.example")


@pytest.mark.parametrize("host", HERE)
def test_loopback_needs_nothing(host: str) -> None:
    assert stays_here(host)
    assert refusal(host, tls=False, keys=False, insecure=False) is None


@pytest.mark.parametrize("host", OUT)
def test_elsewhere_it_takes_tls_and_keys_or_the_word(host: str) -> None:
    assert not stays_here(host)
    for tls in (False, True):
        for keys in (False, True):
            said = refusal(host, tls=tls, keys=keys, insecure=False)
            assert (said is None) is (tls and keys)
            assert said is None or (("without TLS" in said) is not tls)
            assert said is None or (("without keys" in said) is not keys)
            assert refusal(host, tls=tls, keys=keys, insecure=True) is None


def test_the_error_says_what_to_do() -> None:
    with pytest.raises(HawkVisionError, match="every address is reached by others") as told:
        check("", tls=True, keys=False, insecure=False, hint="Give keys")
    assert "Give keys" in told.value.hint and "--insecure" in told.value.hint
