"""What the calls of a store cost a Redis: commands, those of its scripts too, and bytes each way.

It follows `hawkvision.tracking.store.redis` call by call; tests compare it with a real server.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from edge_agent.exporting import OLD_S
from hawkvision.tracking.records import (
    AgentInfo,
    Batch,
    CountKey,
    Counts,
    ThresholdState,
    other,
    to_json,
)
from hawkvision.tracking.store.bound import FORGOTTEN_S, MOST_KEYS, bounded
from hawkvision.tracking.store.buckets import RESOLUTIONS, Resolution, places
from hawkvision.tracking.store.fresh import PAGES
from hawkvision.tracking.store.redis import scripts
from hawkvision.tracking.store.redis.changes import told

_PREFIX = "hawkvision"
_KEPT_S = RESOLUTIONS[-1].kept_s + 3600
_EPOCH = "0" * 16
_STAMP = "1700000000.000000"
_WINDOW_S = 300
CLOCK_OFF_S = 5.0
"""A batch that is older on the server's clock when its turn comes is not added."""

_NIL = 5
_OK = 5
_INTEGER = 4


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one call: commands by name, of which `sent` by the client, and bytes; `fields` are those
    of hashes that a script reads, and writes as JSON."""

    commands: Mapping[str, int]
    sent: int
    bytes_in: int
    bytes_out: int
    fields: int = 0

    def __add__(self, more: Cost) -> Cost:
        commands = Counter(self.commands)
        commands.update(more.commands)
        return Cost(
            commands,
            self.sent + more.sent,
            self.bytes_in + more.bytes_in,
            self.bytes_out + more.bytes_out,
            self.fields + more.fields,
        )

    @property
    def inner(self) -> int:
        """Commands that scripts run."""
        return sum(self.commands.values()) - self.sent


@dataclass
class Ledger:
    """Costs added up."""

    commands: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    bytes_in: int = 0
    bytes_out: int = 0

    def note(self, cost: Cost, times: int = 1) -> None:
        """One call, or several alike."""
        for name, n in cost.commands.items():
            self.commands[name] += n * times
        self.sent += cost.sent * times
        self.bytes_in += cost.bytes_in * times
        self.bytes_out += cost.bytes_out * times

    def copy(self) -> Ledger:
        """As it is now."""
        return Ledger(Counter(self.commands), self.sent, self.bytes_in, self.bytes_out)

    def since(self, before: Ledger) -> Ledger:
        """What came after `before`."""
        commands = Counter(self.commands)
        commands.subtract(before.commands)
        return Ledger(
            +commands,
            self.sent - before.sent,
            self.bytes_in - before.bytes_in,
            self.bytes_out - before.bytes_out,
        )


def request(*parts: Any) -> int:
    """Bytes of a command, or of an array of strings, on the wire (RESP)."""
    texts = [part if isinstance(part, bytes) else str(part).encode() for part in parts]
    return len(str(len(texts))) + 3 + sum(_bulk(len(text)) for text in texts)


def _bulk(length: int) -> int:
    return len(str(length)) + length + 5


class Costs:
    """Of the calls for one task, under its counted name."""

    def __init__(self, task: str) -> None:
        self._task = f"{_PREFIX}:{{{task.replace('@', '%40')}}}"
        self.name = task
        apps, secret = f"{_PREFIX}:apps", f"{_PREFIX}:secret"
        self.apps = Cost({"hgetall": 1}, 1, request("HGETALL", apps), _INTEGER)
        self.secret = Cost(
            {"set": 1, "get": 1},
            2,
            request("SET", secret, b"0" * 32, "NX") + request("GET", secret),
            _NIL + _bulk(32),
        )
        now = request("EVALSHA", scripts.NOW.digest, 1, self._key("fresh"))
        self.now = Cost({"evalsha": 1, "time": 1}, 1, now, _bulk(len(_STAMP)))
        self.no_lead = self._lead({}, _NIL)
        self.renew_lead = self._lead({"get": 1, "set": 1, "expire": 2}, _bulk(1))
        self.take_lead = self._lead({"incr": 1, "set": 1, "expire": 2}, _INTEGER)
        channel = f"{_PREFIX}:changes"
        self._channel = channel
        self.subscribe = Cost(
            {"subscribe": 1},
            1,
            request("SUBSCRIBE", channel),
            4 + _bulk(9) + _bulk(len(channel)) + _INTEGER,
        )
        self.ping = Cost({"ping": 1}, 1, request("PING"), request("pong", ""))
        self._add_in, self._lives = self._adding()
        self._bucket_in = {one: self._of_bucket(one) for one in RESOLUTIONS}

    def _key(self, *parts: object) -> str:
        return ":".join([self._task, *(str(part) for part in parts)])

    def _lead(self, more: Mapping[str, int], out: int) -> Cost:
        keys = [self._key(name) for name in ("lead", "fence", "thresholds")]
        sent = request("EVALSHA", scripts.LEAD.digest, 3, *keys, "0" * 12, 3000, _KEPT_S)
        commands = Counter({"evalsha": 1, "get": 1})
        commands.update(more)
        return Cost(commands, 1, sent, out)

    def heartbeat(self, info: AgentInfo) -> Cost:
        """An agent's."""
        names, alive = f"{_PREFIX}:{{agents}}", f"{_PREFIX}:{{agents}}:alive:{info.agent_id}"
        sent = request("SET", alive, to_json(info), "PX", 5000)
        sent += request("SADD", names, info.agent_id)
        return Cost({"set": 1, "sadd": 1}, 2, sent, _OK + _INTEGER)

    def thresholds(self, states: Mapping[str, ThresholdState]) -> Cost:
        """Reading those in force."""
        parts = [part for state in states.values() for part in (state.target, to_json(state))]
        sent = request("HGETALL", self._key("thresholds"))
        return Cost({"hgetall": 1}, 1, sent, request(*parts))

    def put(self, states: Sequence[ThresholdState], fence: int) -> Cost:
        """Publishing some; what listeners are told comes on top."""
        fields = [part for state in states for part in (state.target, to_json(state))]
        keys = [self._key("fence"), self._key("thresholds")]
        said = told(self.name, states)
        sent = request("EVALSHA", scripts.PUT.digest, 2, *keys, fence, self._channel, said, *fields)
        return Cost({"evalsha": 1, "get": 1, "hset": len(states), "publish": 1}, 1, sent, _INTEGER)

    def pushed(self, states: Sequence[ThresholdState]) -> int:
        """Bytes to each listener of a publication."""
        return request("message", self._channel, told(self.name, states))

    def _adding(self) -> tuple[int, int]:
        """Bytes of `add` that are always the same, but for lives; and those of lives."""
        keys = [self._key("batch", "0" * 24), self._key("keys"), self._key("keys", "vouched")]
        keys += self._pages()
        fixed = ["EVALSHA", scripts.ADD.digest, 3 + 1 + PAGES, *keys, _STAMP, CLOCK_OFF_S, _KEPT_S]
        fixed += [MOST_KEYS, FORGOTTEN_S, _EPOCH]
        fixed += [prefix_of(other(self.name, with_key=one)) for one in (False, True)]
        # The number of parts has two digits with or without what comes for each bucket.
        return request(*fixed) + 1, (3 + PAGES) * _bulk(len(str(_KEPT_S)))

    def _of_bucket(self, one: Resolution) -> int:
        """Bytes of `add` for a bucket: its key, whose time has ten digits, and its life."""
        return _bulk(len(self._key("count", one.width_s, int(1.7e9)))) + _bulk(len(str(one.kept_s)))

    def _pages(self) -> list[str]:
        return [self._key("fresh"), *(self._key("fresh", page) for page in range(PAGES))]

    def add(self, batch: Batch, age_s: float, now: float, new_keys: int, begins: bool) -> Cost:
        """A batch of the task; `new_keys` were not counted before, `begins`: it is the first."""
        text = 2 + max(0, len(batch.counts) - 1)  # brackets, and commas between the rows
        measures = keys = 0
        for key, sums in batch.counts.items():
            size, counts_as_key = _row_of(key)
            finite = 0
            for name, amount in sums.items():
                if math.isfinite(amount):
                    finite += 1
                    size += _name_of(name) + len(repr(amount))
            text += size + max(0, finite - 1)
            measures += finite
            keys += counts_as_key
        kept = places(age_s, now)
        commands = {
            "evalsha": 1,
            "time": 1,
            "set": 1,
            "zscore": keys,
            "zcard": new_keys,
            "zadd": keys,
            "hget": 1,
            "hset": int(begins),
            "del": PAGES * begins,
            "hincrbyfloat": measures * (1 + len(kept)),
            "expire": 3 + PAGES + len(kept),
        }
        sent = self._add_in + self._lives + _bulk(text)
        sent += sum(self._bucket_in[one] for one, _ in kept)
        return Cost(commands, 1, sent, 4 + _INTEGER + _bulk(len(_STAMP)))

    def not_added(self, cost: Cost, *, again: bool) -> Cost:
        """Of `add` where nothing is: the batch is there already, or was too long on its way."""
        commands = {"evalsha": 1, "time": 1, "set": int(again)}
        return replace(cost, commands=commands)

    def since(self, fresh: Counts, *, behind: bool, turned: bool) -> Cost:
        """Reading what is fresh, all on one page."""
        sent = request(
            "EVALSHA", scripts.SINCE.digest, 1 + PAGES, *self._pages(), _EPOCH, 1, _EPOCH, _KEPT_S
        )
        out = 4 + _bulk(len(_EPOCH)) + 2 * _INTEGER
        hashed = hash_of(fresh)
        commands = {
            "evalsha": 1,
            "hget": 2,
            "expire": 1 + PAGES,
            "exists": int(not behind),
            "del": int(turned),
            "hset": int(turned),
            "hgetall": int(bool(fresh)),
        }
        return Cost(commands, 1, sent, out + hashed.reply, hashed.fields)

    def read(self, buckets: int, found: Sequence[Hash]) -> Cost:
        """Reading a window of so many buckets, of which those `found` hold anything."""
        keys = [self._key("count", RESOLUTIONS[0].width_s, int(1.7e9))] * buckets
        sent = request("EVALSHA", scripts.READ.digest, buckets, *keys, 1, 8000)
        out = 4 + _bulk(len(_STAMP)) + _INTEGER + sum(one.reply for one in found)
        commands = {"evalsha": 1, "time": 1, "hgetall": buckets}
        return Cost(commands, 1, sent, out, sum(one.fields for one in found))

    def ask_kept(self, reply: int) -> Cost:
        """Asking for a window that another reader found, of `reply` bytes; 0 for none."""
        sent = request("GET", self._key("recent", _WINDOW_S))
        return Cost({"get": 1}, 1, sent, reply or _NIL)

    def keep(self, found: Counts) -> tuple[Cost, int]:
        """Keeping a window for others; and the bytes of a reply that holds it."""
        flat: list[str | float] = []
        for key, sums in found.items():
            for name, amount in sums.items():
                flat += [f'{prefix_of(key)}"{name}"]', float(amount)]
        text = orjson.dumps(flat)
        sent = request("SET", self._key("recent", _WINDOW_S), text, "PX", int(OLD_S * 1e3))
        return Cost({"set": 1}, 1, sent, _OK), _bulk(len(text))


class Hash(NamedTuple):
    """Counts as a hash of the server: its fields, and bytes of a reply that holds it as JSON."""

    fields: int
    reply: int


def hash_of(counts: Counts) -> Hash:
    """Counts of one task."""
    flat: list[str] = []
    for key, sums in counts.items():
        prefix = prefix_of(key)
        for name, amount in sums.items():
            flat += [f'{prefix}"{name}"]', _stored(amount)]
    if not flat:
        return Hash(0, 0)
    slashes = sum(text.count("/") for text in flat[::2])  # cjson escapes them, orjson does not
    return Hash(len(flat) // 2, _bulk(len(orjson.dumps(flat)) + slashes))


def _stored(amount: float) -> str:
    """As HINCRBYFLOAT keeps it."""
    return str(int(amount)) if amount.is_integer() else f"{amount:.17f}".rstrip("0")


def prefix_of(key: CountKey) -> str:
    """How a field of a bucket begins."""
    return f"[{orjson.dumps(key.app).decode()},{orjson.dumps(key.target).decode()},"


@lru_cache(maxsize=4096)
def _row_of(key: CountKey) -> tuple[int, bool]:
    """Bytes of a key's row in a batch of `add` without measures; whether it is `bounded`."""
    counted = bounded(key)
    return len(orjson.dumps([prefix_of(key), int(counted), []])), counted


@lru_cache(maxsize=4096)
def _name_of(name: str) -> int:
    """Bytes of a measure there, with its commas and quotes, but for the digits of the amount."""
    return len(orjson.dumps([f'"{name}"]', ""])) - 2
