"""Where each kind of dataset comes from, as data."""
