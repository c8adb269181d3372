"""Answers by rules, one file a family of prompts."""
