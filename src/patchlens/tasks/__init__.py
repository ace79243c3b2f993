"""Tasks: pure functions of arrays. No file and no model is opened in here."""
