"""Tasks: pure functions of arrays. They open no files and no models."""
