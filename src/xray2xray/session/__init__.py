"""One study through the model."""
