"""The version of the protocol, which rises whenever a number can change, and those of libraries."""

from importlib.metadata import version

PROTOCOL_VERSION = 1
DIGITS = 4  # of published scores: last bits differ between machines, these do not


def versions() -> dict[str, str]:
    """Versions of the libraries that shape numbers."""
    return {name: version(name) for name in ("torch", "timm", "numpy")}
