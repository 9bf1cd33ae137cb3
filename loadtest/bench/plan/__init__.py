"""`hawkvision bench plan`: what `hawkvision plan` says against what real processes do."""
