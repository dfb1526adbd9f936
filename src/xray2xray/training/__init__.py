"""Training: one loop on Lightning Fabric, and beside it what each stage learns."""
