"""Settings and ensembles: what may stand in them, where each value comes from, and their files."""
