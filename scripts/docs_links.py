"""A hook of MkDocs: links from the docs to other files of the repository become plain text.

The site holds the pages of docs/ only, and strict mode refuses a link that leads out of them.
"""

import re
from pathlib import PurePosixPath
from typing import Any

LINK = re.compile(r"\[([^\]]*)\]\(((?:\.\./)+[^)#\s]+)[^)]*\)")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Replace links that leave docs/; `../` may also lead from a folder of docs/ back into it."""
    depth = len(PurePosixPath(page.file.src_uri).parts) - 1

    def plain(link: re.Match[str]) -> str:
        return link[1] if link[2].count("../") > depth else link[0]

    return LINK.sub(plain, markdown)
