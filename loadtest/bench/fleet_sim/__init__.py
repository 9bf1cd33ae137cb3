"""`hawkvision bench fleet-sim`: a fleet of any size, on a virtual clock."""
