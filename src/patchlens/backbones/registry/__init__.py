"""The models that patchlens knows by name: data, one entry per model."""
