"""The tests: unit, flow, engines (real llama.cpp, a real Ollama where there is one), terminal."""
