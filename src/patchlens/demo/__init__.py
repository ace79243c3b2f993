"""A measurement in a minute, from the installed package alone."""
