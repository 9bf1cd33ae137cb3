"""A ladder of variants of one task, for systems that switch between models."""
