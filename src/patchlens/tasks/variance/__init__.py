"""The study of how variance spreads over the dimensions."""
