"""Typed settings: `params.yaml` becomes pydantic models before any work starts."""
