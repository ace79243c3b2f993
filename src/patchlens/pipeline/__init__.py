"""Running the pipeline: reproduction that survives kills, locks, and a doctor of workspaces."""
