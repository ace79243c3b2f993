"""What settings may name; apart from the table, so that no stage depends on how they are read."""

from importlib import import_module

from patchlens.datasets.catalogue import kinds
from patchlens.settings.base import Section
from patchlens.settings.load import Known
from patchlens.tasks.entries import ENTRIES


def known() -> Known:
    """What settings may name."""
    from patchlens.features.variants import VARIANTS  # numpy: only where settings are read

    return Known(kinds(), sections(), VARIANTS)


def sections() -> dict[str, type[Section]]:
    """Task -> the class of its section in params.yaml."""
    return {
        task.name: import_module(f"patchlens.tasks.{task.name}.settings").SECTION
        for task in ENTRIES
        if not task.datasets_of
    }
