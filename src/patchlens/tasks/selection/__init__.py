"""Nested choice: which layer, variant and head to use, with a score that the choice has not seen."""
