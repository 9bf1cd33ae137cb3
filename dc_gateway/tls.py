"""Where a gateway speaks TLS: its ports and the way to upstreams; and their renewal."""

from __future__ import annotations

from dc_gateway.config import GatewayConfig
from hawkvision.errors import InvalidRequest
from hawkvision.serving.tls import ClientTls, Renewal, ServerTls, server_files
from hawkvision.serving.upstreams.dialer import Dialer


class GatewayTls:
    """Of one gateway. Raises HawkVisionError for files that are not right."""

    def __init__(self, config: GatewayConfig) -> None:
        if config.allow_clients and config.tls_client_ca is None:
            raise InvalidRequest(
                "--allow-client without --tls-client-ca: no client would have a name",
                hint="Give the authorities of clients' certificates.",
            )
        files = server_files(config.tls_cert, config.tls_key, config.tls_client_ca)
        self.server = None if files is None else ServerTls(files)
        upstreams = ClientTls(
            config.upstream_ca, config.upstream_cert, config.upstream_key, config.upstream_name
        ).watched("--upstream")
        self.dialer = Dialer(upstreams, config.upstream_name)
        self.renewal = Renewal(config.watch_certificates)
        if self.server is not None:
            self.renewal.add(self.server.watched)
        if upstreams is not None:
            self.renewal.add(upstreams)
