"""The address that files are fetched from, and the name and password in it, kept apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import urllib3

from hawkvision.errors import RepositoryError


@dataclass(frozen=True, slots=True)
class Origin:
    """`base` may be shown: it has no name and password; `headers` hold those and may not."""

    base: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, url: str, what: str) -> Origin:
        """Raises RepositoryError, which says that it should be a URL of `what`."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise RepositoryError(
                f"{parts.scheme or 'this'} is no HTTP address",
                hint=f"Give https://HOST/PATH of {what}.",
            )
        login, _, host = parts.netloc.rpartition("@")
        return cls(
            f"{parts.scheme}://{host}{parts.path.rstrip('/')}",
            f"?{parts.query}" if parts.query else "",
            urllib3.make_headers(basic_auth=login) if login else {},
        )
