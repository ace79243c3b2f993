"""A page of the report site, before it is rendered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Page:
    """The parts of one page.

    Attributes:
        slug: the file name without `.html`, unique in the site; `index` is the overview.
        title: the title of the page and of its navigation entry.
        template: a file of `site/templates/`, which extends `base.html`.
        context: the context of the template; `page`, `pages` and `palette` are added.
        files: path in the site -> content, written with the page; two pages may share a file
            if its content is the same.
        group: the navigation heading of the page.
    """

    slug: str
    title: str
    template: str
    context: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    group: str = ""
