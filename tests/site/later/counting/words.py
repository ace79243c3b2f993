"""Its words."""

from patchlens.tasks.words import Words

WORDS = Words("Counting", "counting of objects", lambda rows: f"{len(rows)} rows were counted.")
