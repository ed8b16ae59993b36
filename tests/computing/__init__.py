"""The room of programs."""
