"""Errors that a user can fix: each has a message and an exit code, and prints no traceback."""


class PatchlensError(Exception):
    """An error that the user can fix. The message names the file, key or value, and the remedy."""

    exit_code = 1


class SettingsError(PatchlensError):
    """`params.yaml` or a command-line name is wrong."""

    exit_code = 2


class FitError(PatchlensError):
    """A classifier cannot be fitted to these patches with these settings."""

    exit_code = 2


class SourceError(PatchlensError):
    """Weights or a dataset cannot be obtained: no network, no access, a wrong or missing file."""

    exit_code = 3


class DataError(PatchlensError):
    """The content of a dataset, a weight file or a feature file is not as expected."""

    exit_code = 4
