"""Features: extracted once a (model, dataset, split), then read by every task."""
