"""Files: whole or not at all, and a trained model as a folder."""
