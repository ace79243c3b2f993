"""Scores as a function of the number of dropped or kept dimensions."""
