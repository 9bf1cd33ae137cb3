"""Kinds of task: what a network's outputs mean, how sure they are, how wrong they were."""
