"""From somebody's models and labelled images to a served task: what `hawkvision calibrate` runs."""
