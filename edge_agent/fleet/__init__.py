"""One agent's part in a fleet: counting, audits, leading, probes, gauges."""
