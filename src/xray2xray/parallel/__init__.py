"""Many items at once: on processes, with progress."""
