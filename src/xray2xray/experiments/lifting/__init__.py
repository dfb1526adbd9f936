"""Training and judging the lifting network of the volumetric form."""
