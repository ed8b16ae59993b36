"""Side-by-side measurements that anyone can run. Each module's docstring has its command."""
