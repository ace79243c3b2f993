"""The models that patchlens knows by name: data, one entry a model."""
