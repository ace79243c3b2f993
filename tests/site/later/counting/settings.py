"""Its section in params.yaml."""

from patchlens.settings.base import Section


class Counting(Section):
    """Datasets only."""


SECTION = Counting
