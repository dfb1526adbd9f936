"""The networks: V, the forms of M, and both together."""
