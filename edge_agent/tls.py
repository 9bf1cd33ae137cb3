"""Where an agent speaks TLS: its own ports, the way to gateways, the store; and their renewal."""

from __future__ import annotations

import ssl

from edge_agent.config import EdgeConfig
from edge_agent.link import LinkTls
from hawkvision.serving.tls import ClientTls, Renewal, ServerTls, server_files
from hawkvision.serving.upstreams.dialer import Dialer
from hawkvision.tracking.store.base import Store
from hawkvision.tracking.store.redis import RedisStore


class AgentTls:
    """Of one agent. Raises HawkVisionError for files that are not right."""

    def __init__(self, config: EdgeConfig) -> None:
        files = server_files(config.tls_cert, config.tls_key)
        self.server = None if files is None else ServerTls(files)
        gateways = _gateways(config).watched("--gateway")
        self.dialer = Dialer(gateways, config.gateway_name)
        self.renewal = Renewal(config.watch_certificates)
        if self.server is not None:
            self.renewal.add(self.server.watched)
        if gateways is not None:
            self.renewal.add(gateways)

    @property
    def context(self) -> ssl.SSLContext | None:
        """Of HTTPS, for all of its life; None in the clear."""
        return None if self.server is None else self.server.context

    def renews(self, store: Store) -> Store:
        """The same store, whose files are looked after from now on, where it has some."""
        if isinstance(store, RedisStore) and store.files is not None:
            self.renewal.add(store.files)
        return store


def link_tls(config: EdgeConfig) -> LinkTls | None:
    """How the link to gateways is measured. Raises HawkVisionError for files that are not right."""
    gateways = _gateways(config).watched("--gateway")
    return None if gateways is None else LinkTls(gateways.context, config.gateway_name)


def _gateways(config: EdgeConfig) -> ClientTls:
    return ClientTls(
        config.gateway_ca, config.gateway_cert, config.gateway_key, config.gateway_name
    )
