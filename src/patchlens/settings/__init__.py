"""Typed settings: `params.yaml` is parsed into pydantic models before any work starts."""
