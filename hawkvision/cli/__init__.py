"""The commands of `hawkvision` that live in the core; each module exposes `command`."""
