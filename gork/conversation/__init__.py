"""The thread that is remembered, and sessions on disk."""
