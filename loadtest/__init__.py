"""Load tests and benchmarks over HawkVision's public doors; run from a checkout."""
