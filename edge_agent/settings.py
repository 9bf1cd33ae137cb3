"""From an agent's configuration to the settings of its parts."""

from __future__ import annotations

from edge_agent.config import EdgeConfig
from edge_agent.fleet.fleet import FleetSettings
from edge_agent.place import Place
from edge_agent.streams.registry import StreamSettings
from edge_agent.streams.room import StreamRoom
from hawkvision.errors import HawkVisionError
from hawkvision.lossy.assembler import AssemblyLimits
from hawkvision.serving import descriptors
from hawkvision.serving.access.audit import AuditLog
from hawkvision.serving.access.guard import Guard
from hawkvision.serving.http.bodies import BodyLimits
from hawkvision.serving.http.connections import ConnectionLimits
from hawkvision.serving.upstreams.balancer import BalancerSettings
from hawkvision.serving.upstreams.hedging import Hedging
from hawkvision.tracking.control.audit import AuditSettings
from hawkvision.tracking.store.access import StoreAccess
from hawkvision.tracking.store.base import Store
from hawkvision.tracking.store.registry import open_store


def guard_of(config: EdgeConfig, place: Place | None) -> Guard:
    """Keys and audit log. Raises HawkVisionError for a file that cannot be read or written to, and
    where there would have to be keys."""
    config.check_exposure()
    meters = None if place is None else place.meters
    return Guard(config.keys, config.app_keys, _audit_log(config), meters)


def _audit_log(config: EdgeConfig) -> AuditLog:
    found = AuditLog(config.audit_log)
    try:
        found.check()
    except OSError as error:
        raise HawkVisionError(
            f"the audit log {config.audit_log}: {error.strerror or error}",
            hint="Name a file with --audit-log that can be written to.",
        ) from error
    return found


def audit_settings(share: float) -> AuditSettings:
    """A base share, and three times as much for a while after a shift alarm."""
    return AuditSettings(base=share, boosted=min(0.5, 3 * share))


def fleet_settings(config: EdgeConfig) -> FleetSettings:
    """Of counting, audits and steering."""
    return FleetSettings(
        audit_settings(config.audit_share),
        control=config.control,
        tracked=config.store != "off",
        every_s=config.tracking_interval_s,
    )


def open_the_store(config: EdgeConfig) -> Store:
    """The store that the configuration names. Raises as `open_store`."""
    files = (config.store_ca, config.store_cert, config.store_key, config.store_password_file)
    return open_store(config.store, StoreAccess(*files), most_apps=config.max_apps)


def body_limits(config: EdgeConfig) -> BodyLimits:
    """Of request bodies."""
    return BodyLimits(
        max_body=config.max_body_bytes,
        timeout_s=config.body_timeout_s,
        least_rate=config.body_least_rate,
        max_batch=config.max_batch,
    )


def connection_limits(config: EdgeConfig) -> ConnectionLimits:
    """Of connections, as far as this process may open descriptors."""
    return ConnectionLimits.fitting(
        descriptors.limit(),
        config.max_connections,
        config.max_connections_per_peer,
        head_s=config.head_timeout_s,
        idle_s=config.idle_timeout_s,
        write_s=config.write_timeout_s,
    )


def upstream_settings(config: EdgeConfig) -> BalancerSettings:
    """Of the calls to gateways."""
    after_ms = config.hedge_after_ms
    hedging = Hedging(None if after_ms is None else after_ms / 1e3, config.hedge_quantile)
    return BalancerSettings(hedging=hedging)


def stream_settings(config: EdgeConfig) -> StreamSettings:
    """Of lossy streams."""
    most = AssemblyLimits()
    return StreamSettings(
        StreamRoom(config.max_streams, config.max_streams_per_peer, config.max_streams_per_app),
        config.stream_idle_s,
        config.rtp_address,
        AssemblyLimits(
            max_bytes=min(most.max_bytes, config.limits.max_bytes),
            max_pixels=min(most.max_pixels, config.limits.max_pixels),
        ),
    )
