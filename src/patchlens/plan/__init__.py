"""Estimates of the downloads, disk space and time of a run, made before it starts."""
