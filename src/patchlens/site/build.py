"""Renders pages into a folder that opens from disk, with all files that they load."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined

from patchlens.errors import DataError
from patchlens.files import whole_folder
from patchlens.site.page import Page

STATIC = files("patchlens.site") / "static"
SNIPPET = "window.vegaEmbed = vegaEmbed;"


def write(pages: Sequence[Page], shared: Mapping[str, Any], out: Path) -> int:
    """Replace the folder `out` by the rendered pages; nothing of it stays if one fails.

    Args:
        pages: in the order of the navigation.
        shared: the context shared by all templates.
        out: the folder of the site.

    Returns:
        The size of the site in bytes.

    Raises:
        DataError: two pages have the same slug, or write one file with different contents.
    """
    environment = Environment(
        loader=PackageLoader("patchlens.site"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    content = _static()
    for page in pages:
        text = environment.get_template(page.template).render(
            {**shared, **page.context, "page": page, "pages": pages}
        )
        for name, data in {f"{page.slug}.html": text.encode(), **page.files}.items():
            if content.setdefault(name, data) != data:
                raise DataError(f"{out / name}: two pages write it with different contents")
    with whole_folder(out) as folder:
        for name in sorted(content):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content[name])
    return sum(len(data) for data in content.values())


def _static() -> dict[str, bytes]:
    """The files of static/, and Vega with its renderer."""
    found = {
        f"static/{item.name}": item.read_bytes() for item in STATIC.iterdir() if item.is_file()
    }
    return found | {"static/vega.js": _vega()}


@cache
def _vega() -> bytes:
    """Vega, Vega-Lite of the version that Altair writes, and vega-embed in one script."""
    version = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    return vl_convert.javascript_bundle(SNIPPET, version).encode()
