"""Other people's models as they are found, brought to a served task and evaluated."""
