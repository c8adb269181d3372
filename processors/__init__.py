"""Processors: callables on batches of rows for `Dataset.map` and `Dataset.filter`, one folder a paper."""
