"""Statistics of an evaluation: arrays in, numbers out. They know no networks and no files: any part may use them."""
