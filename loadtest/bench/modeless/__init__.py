"""`hawkvision bench modeless`: confidence scaling against a model for each accuracy target."""
