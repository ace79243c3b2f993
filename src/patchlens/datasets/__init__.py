"""Datasets: one module a dataset, each turning an official layout into the same index."""
