"""TLS from PEM files: read whole or not at all, renewed without a restart, servers and clients."""

from hawkvision.serving.tls.client import ClientTls
from hawkvision.serving.tls.files import PemFiles, Pems
from hawkvision.serving.tls.renewal import Renewal
from hawkvision.serving.tls.server import ServerTls, server_files
from hawkvision.serving.tls.watched import WatchedPems

__all__ = [
    "ClientTls",
    "PemFiles",
    "Pems",
    "Renewal",
    "ServerTls",
    "WatchedPems",
    "server_files",
]
