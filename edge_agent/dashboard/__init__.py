"""The page at `/`: what it shows, and the last day of it."""
