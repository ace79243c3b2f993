"""Features: extracted once per model, dataset and split, then read by every task."""
