"""Recipes: compositions of processors, run with `accelerate launch recipes/<verb_phrase>.py`."""
