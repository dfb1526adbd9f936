"""What the documentation's tables and pictures are made by: `python -m benchmarks.NAME`, from the checkout."""
