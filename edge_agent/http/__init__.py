"""The agent's HTTP API: routes, bodies, parameters, replies, keys."""
