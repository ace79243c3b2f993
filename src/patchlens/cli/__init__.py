"""The command line: one command for each DVC stage, and interactive commands."""

from patchlens.cli import stages  # first, as in the help

# isort: split
from patchlens.cli import asked, catalogues, pretraining, workspace
from patchlens.cli.app import app

__all__ = ["app", "asked", "catalogues", "pretraining", "stages", "workspace"]
