"""Files of weights: sources, cache, downloads, checks."""
