"""A file of the Hugging Face hub, from the local cache or downloaded at one commit.

huggingface_hub finds the cache, the commit, the hash and the user's token, and downloads. Its
`hf_hub_download` discards a partial file when the run ends and does not check the hash; `http_get`
below it resumes, so that only the partial file and the check are ours.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import httpx2
from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
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
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from patchlens.errors import SourceError, said
from patchlens.web.download import Remote, arriving, check_room


class AbsentError(SourceError):
    """The repository has no such file at the revision."""


SHA256 = re.compile(r"[0-9a-f]{64}")  # the hub's ETag of a large file; small files have another


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

    def fetch(self, work: Path) -> tuple[Path, str]:
        """Download it into `work`; return its path, and its commit.

        A partial file is resumed. The file is checked against the hub's hash.

        Raises:
            SourceError: the hub does not have the file, denies access or cannot be reached, it is
                not the published file, or the disk is too small.
        """
        url = hf_hub_url(self.repo, self.file, revision=self.revision)
        part: Path | None = None
        try:
            found = get_hf_file_metadata(url, retry_on_errors=True)
            if found.commit_hash is None:
                raise FileMetadataError("it names no commit")
            remote = Remote(  # at the commit: `main` may move while it downloads
                hf_hub_url(self.repo, self.file, revision=found.commit_hash),
                work / self.repo / found.commit_hash / self.file,
                f"sha256:{found.etag}" if SHA256.fullmatch(found.etag or "") else None,
                found.size,
            )
            check_room([remote], [found.size], 2)  # twice: the file and the converted file
            with arriving(remote) as there:
                if not there:
                    part = remote.part
                    _get(remote)
        except (httpx2.HTTPError, FileMetadataError, OSError) as error:
            have = part.stat().st_size if part is not None and part.is_file() else 0
            kind = AbsentError if self._is_absent(error) else SourceError
            raise kind(f"{url}: {self._reason(error, have)}") from None
        return remote.path, found.commit_hash

    def at(self, commit: str) -> str:
        """Its address at a commit, independent of mirrors."""
        return f"https://huggingface.co/{self.repo}/resolve/{commit}/{self.file}"

    def _is_absent(self, error: Exception) -> bool:
        if not isinstance(error, HfHubHTTPError):
            return False
        others = RepositoryNotFoundError | RevisionNotFoundError
        return error.response.status_code == 404 and not isinstance(error, others)

    def _reason(self, error: Exception, have: int) -> str:
        """What went wrong, and the remedy; `have` bytes are kept for the next run."""
        page = f"https://huggingface.co/{self.repo}"
        later = "run this again later" + (f" to resume at byte {have}" if have else "")
        if isinstance(error, OfflineModeIsEnabled):
            return (
                "HF_HUB_OFFLINE is set, and this file is not in the hub's cache on this machine. "
                f"Unset it, or fill the cache with `{self._command()}` on a machine with network "
                "access"
            )
        if isinstance(error, FileMetadataError):
            return f"unexpected response, not from the hub ({said(error)})"
        if not isinstance(error, HfHubHTTPError):
            return (
                f"cannot reach the hub ({said(error)}). Check the network and {later}, or run "
                f"`{self._command()}` on another machine and copy the hub's cache from there"
            )
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
        if self._is_absent(error):
            return f"{self.repo} has no {self.file} at {self.revision}: see {page}/tree/main"
        return f"the hub returned HTTP {status}; {later}"

    def _command(self) -> str:
        return f"hf download {self.repo} {self.file} --revision {self.revision}"


def _get(remote: Remote) -> None:
    """Append to the partial file what it lacks."""
    with remote.part.open("ab") as file:
        if remote.size is None or file.tell() > remote.size:
            file.truncate(0)
        have = file.seek(0, os.SEEK_END)
        headers = build_hf_headers()
        http_get(remote.url, file, resume_size=have, headers=headers, expected_size=remote.size)


def damage(path: Path, digest: str) -> str | None:
    """Why a file in the hub's cache does not match the hash in its name; None if it does."""
    stated = Path(os.readlink(path)).name if path.is_symlink() else ""
    if not SHA256.fullmatch(stated) or stated == digest:
        return None
    return f"the copy in the hub's cache is damaged: its sha256 is {digest} instead of {stated}"
