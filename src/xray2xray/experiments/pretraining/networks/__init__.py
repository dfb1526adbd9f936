"""The networks of the self-supervised comparators."""
