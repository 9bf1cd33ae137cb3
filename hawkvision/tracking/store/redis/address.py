"""Where Redis is, and who we are there, read once from the URL of `--store`. No I/O.

    redis://USER:PASSWORD@HOST:PORT/DATABASE          rediss:// for TLS, here as below
    unix://USER:PASSWORD@/PATH?db=DATABASE
    redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/SERVICE/DATABASE
    redis+cluster://USER:PASSWORD@HOST:PORT,HOST:PORT

User, password, service and path are percent-decoded. Messages of errors never repeat what may be,
or may be meant as, a password.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import AddressValueError, IPv6Address
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qsl, unquote

from hawkvision.errors import InvalidRequest
from hawkvision.tracking.store.access import StoreAccess

Kind = Literal["server", "sentinel", "cluster"]

FORMS = (
    "redis://HOST:6379/0, rediss:// for TLS, unix:///PATH, "
    "redis+sentinel://HOST:26379,HOST:26379/SERVICE or redis+cluster://HOST:6379,HOST:6379"
)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_KINDS: Mapping[str, tuple[Kind, int]] = {
    "redis": ("server", 6379),
    "unix": ("server", 6379),
    "redis+sentinel": ("sentinel", 26379),
    "redis+cluster": ("cluster", 6379),
}
_TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_TLS_OPTIONS = (*_TLS_FILES, "ssl_cert_reqs", "ssl_check_hostname")
_SENTINEL_OPTIONS = ("sentinel_username", "sentinel_password")


class Node(NamedTuple):
    """A server's address."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Tls:
    """How the server is known, and how we are known to it. Files are PEM."""

    ca_certs: str | None = None
    certificate: str | None = None
    key: str | None = None
    verify: bool = True
    check_hostname: bool = True

    def options(self) -> dict[str, Any]:
        """For a client of redis-py."""
        return {
            "ssl": True,
            "ssl_ca_certs": self.ca_certs,
            "ssl_certfile": self.certificate,
            "ssl_keyfile": self.key,
            "ssl_cert_reqs": "required" if self.verify else "none",
            "ssl_check_hostname": self.verify and self.check_hostname,
        }

    def files(self) -> list[str]:
        """Those that are named."""
        return [name for name in (self.ca_certs, self.certificate, self.key) if name is not None]


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """`nodes` are Sentinels where they watch; empty with a `path`, that of a unix socket."""

    kind: Kind
    nodes: tuple[Node, ...] = ()
    path: str | None = None
    service: str = ""
    database: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)
    tls: Tls | None = None

    @classmethod
    def parse(cls, url: str) -> RedisAddress:
        """From a URL. Raises InvalidRequest, in words that hold no secret."""
        scheme, separator, rest = url.partition("://")
        secure = scheme.startswith("rediss")
        kind, port = _KINDS.get(scheme.replace("rediss", "redis", 1), (None, 0))
        if kind is None or not separator:
            known = separator and _SCHEME.fullmatch(scheme)
            raise _refused(f"{scheme if known else 'nothing'}:// is no address of a store")
        authority, path, query = _split(rest)
        user, at, hosts = authority.rpartition("@")
        name, _, password = user.partition(":")
        options = _options(query, _known_options(scheme, kind, secure))
        unix = scheme == "unix"
        service, database = _service_and_database(kind, "" if unix else path, options)
        if unix == bool(hosts):
            raise _refused("unix:// has a path and no host" if unix else "no host is named")
        if unix and path in ("", "/"):
            raise _refused("no path is named")
        return cls(
            kind=kind,
            nodes=() if unix else _nodes(hosts, port, several=kind != "server"),
            path=unquote(path) if unix else None,
            service=service,
            database=database,
            username=(unquote(name) or None) if at else options.get("username"),
            password=(unquote(password) or None) if at else options.get("password"),
            sentinel_username=options.get("sentinel_username"),
            sentinel_password=options.get("sentinel_password"),
            tls=_tls(options) if secure else None,
        )

    def with_access(self, access: StoreAccess) -> RedisAddress:
        """With what stands in files. Raises InvalidRequest for what the URL says too."""
        tls, password = self.tls, access.password()
        if access.ca or access.cert or access.key:
            if tls is None:
                raise _refused(
                    "--store-ca, -cert and -key are for TLS", "rediss:// in place of redis://."
                )
            files = (access.ca, access.cert, access.key)
            said = (tls.ca_certs, tls.certificate, tls.key)
            if any(a is not None and b is not None for a, b in zip(files, said, strict=True)):
                raise _refused(
                    "a file stands in the URL and in an option", "Leave one of them away."
                )
            ca_certs, certificate, key = (
                b if a is None else str(a) for a, b in zip(files, said, strict=True)
            )
            if key is not None and certificate is None:
                raise _refused("--store-key without --store-cert", "Give both.")
            tls = replace(tls, ca_certs=ca_certs, certificate=certificate, key=key)
        if password is not None and self.password is not None:
            raise _refused(
                "a password stands in the URL and in --store-password-file",
                "Leave one of them away.",
            )
        return replace(self, tls=tls, password=self.password if password is None else password)

    def options(self) -> dict[str, Any]:
        """For a client of redis-py at a server that holds data; without host and port."""
        secure = {} if self.tls is None else self.tls.options()
        place = {} if self.path is None else {"unix_socket_path": self.path}
        who = {"username": self.username, "password": self.password}
        return {"db": self.database, **who, **place, **secure}

    def sentinel_options(self) -> dict[str, Any]:
        """For a client of redis-py at a Sentinel; without host and port."""
        secure = {} if self.tls is None else self.tls.options()
        return {"username": self.sentinel_username, "password": self.sentinel_password, **secure}

    def without_secrets(self, text: str) -> str:
        """A message of somebody else's, in which our passwords are blotted out."""
        for secret in (self.password, self.sentinel_password):
            if secret:
                text = text.replace(secret, "***")
        return text


def _refused(what: str, hint: str = f"{FORMS}.") -> InvalidRequest:
    return InvalidRequest(f"the store's address: {what}", hint=hint)


def _split(rest: str) -> tuple[str, str, str]:
    """Authority, path and query; a stray `@` shows that a password was not escaped."""
    found = re.fullmatch(r"([^/?#]*)([^?#]*)(?:\?([^#]*))?(#.*)?", rest, re.DOTALL)
    if found is None or found[4] is not None or "@" in found[2] or "@" in (found[3] or ""):
        raise _refused(
            "it has a '#', or an '@' behind the hosts",
            "In user, password and path write %23 for '#', %40 for '@', %2F for '/', %3F for '?'.",
        )
    return found[1], found[2], found[3] or ""


def _nodes(hosts: str, port: int, *, several: bool) -> tuple[Node, ...]:
    found = tuple(_node(host, port) for host in hosts.split(","))
    if len(found) > 1 and not several:
        raise _refused("one server has one host", "Several: redis+sentinel:// or redis+cluster://.")
    return found


def _node(text: str, default_port: int) -> Node:
    found = re.fullmatch(r"(?:\[([^\[\]]*)\]|([^\[\]:\s]+))(?::([^:]*))?", text)
    if found is None:
        raise _refused("a host cannot be read", "HOST, HOST:PORT, or [IPV6]:PORT.")
    if found[1] is not None and not _is_ipv6(found[1]):
        raise _refused("in [ ] must stand an IPv6 address", "As in [2001:db8::1]:6379.")
    number = str(default_port) if found[3] is None else found[3]
    if not re.fullmatch(r"[0-9]{1,5}", number) or not 1 <= int(number) <= 65535:
        raise _refused("a port must be a number from 1 to 65535")
    return Node(found[1] or found[2], int(number))


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True


def _service_and_database(kind: Kind, path: str, options: Mapping[str, str]) -> tuple[str, int]:
    parts = [unquote(part) for part in path.split("/") if part]
    service = (parts.pop(0) if parts else "mymaster") if kind == "sentinel" else ""
    numbers = [*parts, *([options["db"]] if "db" in options else [])]
    if not numbers:
        return service, 0
    if len(numbers) > 1 or not re.fullmatch(r"[0-9]{1,9}", numbers[0]):
        raise _refused("the database must be one number")
    if kind == "cluster" and int(numbers[0]) != 0:
        raise _refused("a cluster has database 0 only", "Leave the number away.")
    return service, int(numbers[0])


def _known_options(scheme: str, kind: Kind, secure: bool) -> tuple[str, ...]:
    return (
        "db",
        *(("username", "password") if scheme == "unix" else ()),
        *(_SENTINEL_OPTIONS if kind == "sentinel" else ()),
        *(_TLS_OPTIONS if secure else ()),
    )


def _options(query: str, known: tuple[str, ...]) -> dict[str, str]:
    if query and not all("=" in pair for pair in query.split("&")):
        raise _refused("what follows '?' cannot be read", "?NAME=VALUE&NAME=VALUE.")
    pairs = parse_qsl(query, keep_blank_values=True)
    options = dict(pairs)
    if len(options) < len(pairs):
        raise _refused("an option stands there twice")
    for name in options:
        if name in (*_TLS_OPTIONS, *_SENTINEL_OPTIONS, "username", "password") and (
            name not in known
        ):
            raise _refused(f"the option {name} does not belong to this kind of address")
        if name not in known:
            raise _refused(f"an option is unknown: {name[:40]}", f"Known: {', '.join(known)}.")
    return options


def _tls(options: Mapping[str, str]) -> Tls:
    certificates = {"required": True, "none": False}
    answers = {"true": True, "false": False}
    verify, check = options.get("ssl_cert_reqs"), options.get("ssl_check_hostname")
    if verify is not None and verify not in certificates:
        raise _refused("ssl_cert_reqs is required or none")
    if check is not None and check not in answers:
        raise _refused("ssl_check_hostname is true or false")
    ca_certs, certificate, key = (options.get(name) for name in _TLS_FILES)
    return Tls(
        ca_certs,
        certificate,
        key,
        verify=certificates[verify or "required"],
        check_hostname=answers[check or "true"],
    )
