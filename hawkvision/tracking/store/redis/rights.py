"""What a user of Redis may not do: told apart from a store that is away.

Redis does not undo what a script did before it was refused. So a script that writes what counts
asks first whether it may do all of it (`scripts.ADD`). Source: redis.io, "ACL", "Redis Lua API
reference" (redis.acl_check_cmd, from Redis 7 on).
"""

from __future__ import annotations

from redis.exceptions import AuthenticationError, NoPermissionError

HINT = (
    "Give its user the rights and the password that docs/operate.md names; counts are kept here "
    "and delivered then."
)
_IN_A_SCRIPT = "can't run this command"


def refusal(error: Exception, said: str) -> str:
    """In words, from what the server `said`; nothing where it is not a matter of rights."""
    if isinstance(error, AuthenticationError) or said.startswith("WRONGPASS"):
        return f"the store refuses its user: {said}"
    if _IN_A_SCRIPT in said:
        return "the store refuses a command in a script; ACL LOG at the server names it"
    if isinstance(error, NoPermissionError) or said.startswith("NOPERM"):
        return f"the store refuses a command: {said}"
    return ""
