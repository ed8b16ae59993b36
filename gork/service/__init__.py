"""The service on port 8080: the ensemble for programs that speak Ollama's or OpenAI's HTTP, and for browsers."""
