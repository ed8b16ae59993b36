"""What a person at a terminal or a script meets."""
