"""Errors that a user can mend: one message, one exit code each, no traceback."""


class PatchlensError(Exception):
    """Something the user can mend. The message names the file, key or value and the remedy."""

    exit_code = 1


class SettingsError(PatchlensError):
    """`params.yaml` or a command-line name is wrong."""

    exit_code = 2


class FitError(PatchlensError):
    """A classifier cannot be fitted to these patches with these settings."""

    exit_code = 2


class SourceError(PatchlensError):
    """Weights or a dataset cannot be had: no network, no access, a wrong or missing file."""

    exit_code = 3


class DataError(PatchlensError):
    """A dataset, a weight file or a feature file was read and its content is not as promised."""

    exit_code = 4
