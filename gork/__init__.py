"""Gork Heavy-Lite: several small local models answer as one. The flow itself is in `final_script.py`."""

__version__ = "0.1.0"
