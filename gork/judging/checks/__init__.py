"""What plain code finds out about an answer."""
