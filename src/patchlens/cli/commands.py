"""Registers all commands; importing this module is what makes the application whole."""

from patchlens.cli import stages  # first, as in the help

# isort: split
from patchlens.cli import catalogues, inspect, pretraining, workspace
from patchlens.cli.application import app

__all__ = ["app", "catalogues", "inspect", "pretraining", "stages", "workspace"]
