"""Choosing one of several answers: signals, the judge's prompts, the decision."""
