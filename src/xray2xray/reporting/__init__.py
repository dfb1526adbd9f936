"""Results as pages, pictures and tables for people."""
