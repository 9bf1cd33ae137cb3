"""The credentials of a gRPC server: each handshake takes the files as they were last right."""

from __future__ import annotations

import grpc

from hawkvision.serving.tls import Pems, ServerTls


def server_credentials(tls: ServerTls | None) -> grpc.ServerCredentials | None:
    """None without TLS. Where `tls` asks for clients' certificates, nobody comes in without."""
    if tls is None:
        return None
    watched = tls.watched
    given = watched.pems

    def newest() -> grpc.ServerCertificateConfiguration | None:
        """On a thread of gRPC's, at every handshake; None: as before."""
        nonlocal given
        if watched.pems is given:
            return None
        given = watched.pems
        return _configuration(given)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(given),
        newest,  # type: ignore[arg-type]  # None is "as before", says grpc's documentation
        tls.asks_clients,
    )


def _configuration(pems: Pems) -> grpc.ServerCertificateConfiguration:
    assert pems.key is not None and pems.cert is not None
    return grpc.ssl_server_certificate_configuration([(pems.key, pems.cert)], pems.ca)
