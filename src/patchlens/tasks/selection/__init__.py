"""Nested choice: which layer, variant and head to use, scored on images it has not seen."""
