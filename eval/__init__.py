"""Evaluation: measures of tag sets, judges and their agreement."""
