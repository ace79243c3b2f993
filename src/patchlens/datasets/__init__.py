"""Datasets: one module per official layout; all are read into the same kind of index."""
