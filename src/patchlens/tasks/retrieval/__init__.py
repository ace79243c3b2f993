"""T3, object retrieval."""
