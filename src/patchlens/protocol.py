"""The version of the protocol, raised whenever a number can change, and versions of libraries."""

from importlib.metadata import version

PROTOCOL_VERSION = 2
DIGITS = 4  # of published scores: the last bits differ between machines, these digits do not


def versions() -> dict[str, str]:
    """Versions of the libraries that affect numbers."""
    return {name: version(name) for name in ("torch", "timm", "numpy")}
