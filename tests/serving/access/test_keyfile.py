"""The file of keys: what is written is read again, and what is wrong is named."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkvision.errors import HawkVisionError
from hawkvision.serving.access.app_keys import parse_app_keys
from hawkvision.serving.access.keyfile import (
    Key,
    KeyFile,
    digest_of,
    new_key,
    parse_keys,
    write_keys,
)
from hawkvision.serving.access.rate import Rate
from hawkvision.serving.access.scopes import GRANTED, WITHOUT_A_KEY, Scope

_NAMES = st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True)
_RATES = st.none() | st.builds(Rate, st.floats(0.001, 1e6), st.floats(1, 1e6))
_TIMES = st.none() | st.integers(0, 4_000_000_000).map(float)
_KEYS = st.builds(
    Key,
    id=_NAMES,
    digest=st.binary(min_size=32, max_size=32),
    scopes=st.sets(st.sampled_from(GRANTED), min_size=1).map(frozenset),
    apps=st.none() | st.sets(_NAMES | st.just(""), min_size=1, max_size=4).map(frozenset),
    rate=_RATES,
    expires_s=_TIMES,
    disabled=st.booleans(),
    created_s=_TIMES,
)
_SCOPES = st.sets(st.sampled_from(sorted(WITHOUT_A_KEY)), min_size=1).map(frozenset)
_FILES = st.builds(
    KeyFile,
    st.lists(_KEYS, max_size=4, unique_by=(lambda one: one.id, lambda one: one.digest)).map(tuple),
    _SCOPES,
    _RATES,
)


@given(_FILES)
def test_what_is_written_is_read_again(found: KeyFile) -> None:
    assert parse_keys(write_keys(found)) == found


@given(st.text(max_size=300))
def test_any_text_is_keys_or_an_error_of_ours(text: str) -> None:
    for parse in (parse_keys, parse_app_keys):
        try:
            parse(text)
        except HawkVisionError as error:
            assert error.hint


def entry(**fields: object) -> str:
    base = {"id": "a", "hash": "sha256:" + "0" * 64, "scopes": ["read"], "apps": ["*"]}
    return "[[key]]\n" + "".join(
        f"{name} = {json.dumps(value) if not isinstance(value, Raw) else value.text}\n"
        for name, value in {**base, **fields}.items()
        if value is not None
    )


class Raw:
    """TOML as it stands."""

    def __init__(self, text: str) -> None:
        self.text = text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (entry(id="no spaces"), "no id"),
        (entry(hash="0" * 64), "no hash"),
        (entry(scopes=["everything"]), "scopes are"),
        (entry(scopes=["public"]), "scopes are"),
        (entry(scopes=[]), "scopes are"),
        (entry(apps=None), "apps are"),
        (entry(apps=["*", "gate"]), "no name of an app"),
        (entry(rate=0), "rate is"),
        (entry(rate=True), "rate is"),
        (entry(burst=5), "rate is"),
        (entry(rate=1, burst=0.5), "burst is"),
        (entry(expires="tomorrow"), "expires is"),
        (entry(expires=Raw("2030-01-01T00:00:00")), "expires is"),
        (entry(disabled="no"), "disabled is"),
        (entry(scope=["read"]), "unknown 'scope'"),
        (entry() + entry(hash="sha256:" + "1" * 64), "same id"),
        (entry() + entry(id="b"), "same hash"),
        ("[keys]\n", "unknown table"),
        ('[anonymous]\nscopes = ["models"]\n', "scopes are"),
        ("key = 3\n", "tables"),
        ("key = [3]\n", "tables"),
        ("[[key\n", "no TOML"),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str) -> None:
    with pytest.raises(HawkVisionError, match=said):
        parse_keys(text)


def test_a_key_is_256_bits_and_no_two_are_the_same() -> None:
    made = {new_key() for _ in range(1000)}
    assert len(made) == 1000
    assert all(one.startswith("hvk_") and len(one) == 4 + 43 for one in made)
    assert len({digest_of(one) for one in made}) == 1000


def test_requests_without_a_key_may_change_nothing() -> None:
    assert not WITHOUT_A_KEY & {Scope.FEEDBACK, Scope.TARGETS, Scope.MODELS, Scope.PUBLIC}


def test_the_older_file_gives_each_key_everything_of_its_apps() -> None:
    found = parse_app_keys(json.dumps({"gate": "k" * 16, "belt": "k" * 16, "": "n" * 16}))
    assert {one.apps for one in found.keys} == {frozenset({"gate", "belt"}), frozenset({""})}
    assert {one.scopes for one in found.keys} == {frozenset(GRANTED)}
    assert found.anonymous == WITHOUT_A_KEY


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1]", "holds no keys"),
        ("{", "holds no keys"),
        (json.dumps({"gate": "short"}), "less than 16"),
        (json.dumps({"*": "k" * 16}), "no name of an app"),
    ],
)
def test_what_is_wrong_of_the_older_file_is_said(text: str, said: str) -> None:
    with pytest.raises(HawkVisionError, match=said):
        parse_app_keys(text)
