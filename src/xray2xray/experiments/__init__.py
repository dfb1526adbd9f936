"""What reproduces the comparisons of the paper. Nothing in the library imports this package."""
