"""The Ollama and OpenAI dialects of the service."""
