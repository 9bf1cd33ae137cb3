"""A store in Redis: one server, one that Sentinels watch, or a cluster."""

from hawkvision.tracking.store.redis.store import RedisStore

__all__ = ["RedisStore"]
