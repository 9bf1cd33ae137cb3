"""`hawkvision bench fleet`: real agents, gateways and Redis on one machine, and their counts."""
