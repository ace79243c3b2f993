"""What a run will download, store and take, said before anything is spent."""
