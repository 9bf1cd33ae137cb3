"""What answers were really worth: a fleet's counts, estimates, and thresholds that follow."""
