"""A file of the Hugging Face hub, from the local cache or downloaded at one commit.

huggingface_hub finds the cache, the commit, the hash and the user's token. `patchlens.web`
downloads the file, since huggingface_hub discards partial downloads when the run ends.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import httpx2
from huggingface_hub import constants, get_hf_file_metadata, get_token, hf_hub_download, hf_hub_url
from huggingface_hub.errors import (
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from patchlens.errors import SourceError
from patchlens.web.remote import Remote

SHA256 = re.compile(
    r"[0-9a-f]{64}"
)  # the hub's ETag of a large file; small files have another kind


@dataclass(frozen=True)
class HubFile:
    """One file of a repo; `revision` is a commit, or `main` if none is pinned yet."""

    repo: str
    file: str
    revision: str

    def cached(self) -> tuple[Path, str] | None:
        """Its path in the hub's cache, and its commit; None if it is not cached."""
        try:
            found = hf_hub_download(
                self.repo, self.file, revision=self.revision, local_files_only=True
            )
        except (LocalEntryNotFoundError, HFValidationError):
            return None
        path = Path(found)
        return path, path.parents[len(PurePosixPath(self.file).parts) - 1].name

    def remote(self, work: Path) -> tuple[Remote, str]:
        """The download into `work`, and its commit.

        Raises:
            SourceError: the hub does not have the file, denies access or cannot be reached.
        """
        url = hf_hub_url(self.repo, self.file, revision=self.revision)
        try:
            found = get_hf_file_metadata(url, retry_on_errors=True)
        except OfflineModeIsEnabled:
            raise SourceError(
                f"{url}: HF_HUB_OFFLINE is set, and this file is not in the hub's cache on this "
                f"machine. Unset it, or fill the cache with `{self._command()}` on a machine with "
                "network access"
            ) from None
        except HfHubHTTPError as error:
            raise SourceError(f"{url}: {self._refused(error)}") from None
        except FileMetadataError as error:
            raise SourceError(
                f"{url}: unexpected response, not from the hub ({_line(error)})"
            ) from None
        except (httpx2.HTTPError, OSError) as error:
            raise SourceError(
                f"{url}: cannot reach the hub ({_line(error)}). Check the network, or run "
                f"`{self._command()}` on another machine and copy the hub's cache from there"
            ) from None
        if found.commit_hash is None:
            raise SourceError(f"{url}: unexpected response, not from the hub (it names no commit)")
        token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
        return Remote(
            hf_hub_url(self.repo, self.file, revision=found.commit_hash),
            work / self.repo / found.commit_hash / self.file,
            f"sha256:{found.etag}" if SHA256.fullmatch(found.etag or "") else None,
            found.size,
            {} if token is None else {"Authorization": f"Bearer {token}"},
        ), found.commit_hash

    def at(self, commit: str) -> str:
        """Its address at a commit, independent of mirrors."""
        return f"https://huggingface.co/{self.repo}/resolve/{commit}/{self.file}"

    def _refused(self, error: HfHubHTTPError) -> str:
        page = f"https://huggingface.co/{self.repo}"
        if isinstance(error, GatedRepoError):
            return (
                f"{self.repo} is gated: accept its terms at {page}, then run `hf auth login` with "
                "the same account, and run this again"
            )
        status = error.response.status_code
        if isinstance(error, RepositoryNotFoundError) or status in (401, 403):
            return (
                f"the hub denies access to {self.repo} (HTTP {status}): it was withdrawn or "
                f"requires an account with access; see {page}, then run `hf auth login`"
            )
        if isinstance(error, RevisionNotFoundError):
            return f"{self.repo} has no revision {self.revision}: see {page}/commits"
        if status == 404:
            return f"{self.repo} has no {self.file} at {self.revision}: see {page}/tree/main"
        return f"the hub returned HTTP {status}; run this again later"

    def _command(self) -> str:
        return f"hf download {self.repo} {self.file} --revision {self.revision}"


def damage(path: Path, digest: str) -> str | None:
    """Why a file in the hub's cache does not match the hash in its name; None if it does."""
    stated = Path(os.readlink(path)).name if path.is_symlink() else ""
    if not SHA256.fullmatch(stated) or stated == digest:
        return None
    return f"the copy in the hub's cache is damaged: its sha256 is {digest} instead of {stated}"


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
