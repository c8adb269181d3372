"""Trainers: what turns tagsmith datasets into training data and checkpoints."""
