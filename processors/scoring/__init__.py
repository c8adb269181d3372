"""Scores of a row that selection weighs rows by."""
