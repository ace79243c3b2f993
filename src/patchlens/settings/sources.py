"""Settings of sources: other addresses for official files, such as those of a mirror."""

from typing import Annotated

from pydantic import Field

from patchlens.settings.base import LONGEST_LIST, Line, Strict

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
UNOFFICIAL = "not the official file"
MARK = ".not_official"  # the file that marks a folder with content of such files


class Elsewhere(Strict):
    """Where to download an official file instead, without user name and password in the address.

    A published hash must hold beside `sha256`. `other_content: true` waives it: every score is then
    marked, no published number is compared with it, and claims about official files are not judged.
    """

    url: Annotated[Line, Field(pattern=r"^https?://[^/@\s]+/\S+$")]
    sha256: Sha256
    other_content: bool = False


Sources = Annotated[dict[Line, Elsewhere], Field(max_length=LONGEST_LIST)]  # by official address
