"""What an adapter does to real radiographs: the domain, the anatomy, findings. `python -m benchmarks.adaptation`."""
