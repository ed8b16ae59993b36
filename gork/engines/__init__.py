"""Where models answer: Ollama over HTTP, or llama.cpp in child processes. `model.py` is the interface of both."""
