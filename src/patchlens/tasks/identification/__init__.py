"""T2, instance identification under degradations."""
