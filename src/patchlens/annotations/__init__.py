"""Annotations as tools write them, and videos, as a dataset of kind `folder`."""
