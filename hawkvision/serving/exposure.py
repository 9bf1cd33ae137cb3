"""Whether a service may listen where it is told to. Pure: no sockets, no names looked up."""

from __future__ import annotations

from hawkvision.errors import HawkVisionError
from hawkvision.serving.peers import is_loopback


def stays_here(host: str) -> bool:
    """Whether only this machine reaches what listens on `host`: loopback, by address or name."""
    return host == "localhost" or is_loopback(host)


def refusal(host: str, *, tls: bool, keys: bool, insecure: bool) -> str | None:
    """Why a service must not listen on `host`; None where it may.

    Off loopback it takes `tls` (what is sent is encrypted) and `keys` (who calls is known: API
    keys, or certificates of clients), unless somebody said `insecure`.
    """
    if insecure or stays_here(host) or (tls and keys):
        return None
    missing = [what for what, there in (("TLS", tls), ("keys", keys)) if not there]
    return (
        f"{host or 'every address'} is reached by others, without {' and without '.join(missing)}"
    )


def check(host: str, *, tls: bool, keys: bool, insecure: bool, hint: str) -> None:
    """Raise HawkVisionError for what `refusal` refuses; `hint` names the service's options."""
    said = refusal(host, tls=tls, keys=keys, insecure=insecure)
    if said is not None:
        raise HawkVisionError(
            said, hint=f"{hint}, or say --insecure where whoever reaches it is trusted."
        )
