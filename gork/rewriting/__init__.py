"""The promptimizer's prompt, and the guards on what it wrote."""
