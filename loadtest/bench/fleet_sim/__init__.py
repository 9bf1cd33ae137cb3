"""`hawkvision bench fleet-sim`: a fleet of any size on a virtual clock, by the product's own rules."""
