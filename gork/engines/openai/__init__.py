"""Models on servers with OpenAI's HTTP API."""
