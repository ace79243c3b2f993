"""A page of the report site, before it is rendered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Page:
    """What one page is made of.

    Attributes:
        slug: the file's name without `.html`, unique in the site; `index` is the first page.
        title: of the page and of its entry in the navigation.
        template: a file of `site/templates/`, which extends `base.html`.
        context: what the template is rendered with; `page`, `pages` and `palette` are added.
        files: path below the site -> content, written beside the page; two pages may share a file
            if its content is the same.
        group: heading of the navigation under which the page stands.
    """

    slug: str
    title: str
    template: str
    context: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    group: str = ""
