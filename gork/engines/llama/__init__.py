"""llama.cpp in child processes."""
