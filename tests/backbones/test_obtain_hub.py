"""Files of the hub: one commit, the cache first, resumed, and a clear word where it refuses."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import constants
from typer.testing import CliRunner

from fileserver import Answer, Site, cut, named, status, whole
from patchlens.backbones.obtain import Obtained, obtain
from patchlens.backbones.record import Record
from patchlens.backbones.registry.entry import Source
from patchlens.cli import app
from patchlens.errors import SourceError
from patchlens.web.download import Patience

BODY = b"\0weights" * 5000
SHA = hashlib.sha256(BODY).hexdigest()
REPO, FILE, COMMIT, NEXT = "who/what", "sub/model.safetensors", "a" * 40, "b" * 40
HUB = f"https://huggingface.co/{REPO}/resolve"
QUICK = Patience(tries=3, wait=0.001, longest=5.0, timeout=5.0)
Bring = Callable[..., Obtained]
Hub = Callable[..., None]


@pytest.fixture
def hub(site: Site, endpoint: None) -> Hub:
    """`hub(COMMIT)`: make the site a hub whose `main` is at this commit; `refusal` for errors."""

    def serve(
        commit: str = COMMIT,
        *answers: Answer,
        body: bytes = BODY,
        refusal: Answer | None = None,
        last: Answer = whole,
    ) -> None:
        head = refusal or named(commit, hashlib.sha256(BODY).hexdigest(), len(BODY))
        for revision in ("main", commit):
            site.put(f"{REPO}/resolve/{revision}/{FILE}", body, *answers, head=head, last=last)

    return serve


@pytest.fixture
def bring(tmp_path: Path) -> Bring:
    """`bring(revision=COMMIT)`: obtain the hub's file; keys of the source."""

    def run(record: Path | None = None, expect: str | None = None, **settings: Any) -> Obtained:
        source = Source(kind="hub", repo=REPO, file=FILE, **settings)
        work = tmp_path / "work"
        return obtain(
            "m", source, "MIT", False, work=work, record=record, sha256=expect, patience=QUICK
        )

    return run


def complaint(bring: Bring, **settings: Any) -> str:
    with pytest.raises(SourceError) as caught:
        bring(**settings)
    return str(caught.value)


def in_cache(tmp_path: Path, commit: str = COMMIT, body: bytes = BODY, main: bool = False) -> Path:
    """Put a file into the hub's cache as the hub's own library does."""
    repo = tmp_path / "cache" / "models--who--what"
    pointer = repo / "snapshots" / commit / FILE
    for folder in (repo / "blobs", repo / "refs", pointer.parent):
        folder.mkdir(parents=True, exist_ok=True)
    (repo / "blobs" / SHA).write_bytes(body)
    pointer.symlink_to(os.path.relpath(repo / "blobs" / SHA, pointer.parent))
    if main:
        (repo / "refs" / "main").write_text(commit)
    return pointer


def test_a_pinned_commit_is_fetched_and_checked_by_the_hubs_own_hash(
    hub: Hub, site: Site, bring: Bring
) -> None:
    hub()
    found = bring(revision=COMMIT)
    assert found.path.read_bytes() == BODY
    assert found.origin == f"{HUB}/{COMMIT}/{FILE}"
    assert found.record == Record(f"{HUB}/{COMMIT}/{FILE}", COMMIT, SHA, len(BODY))
    bring(revision=COMMIT)
    assert len(site.gets(f"{REPO}/resolve/{COMMIT}/{FILE}")) == 1


def test_bytes_that_are_not_the_hubs_are_removed(hub: Hub, bring: Bring, tmp_path: Path) -> None:
    hub(body=b"\0weightz" * 5000)
    message = complaint(bring, revision=COMMIT)
    assert f"the published one is {SHA}. The file was removed" in message
    assert not list((tmp_path / "work").rglob("*.safetensors*[!k]"))


def test_without_a_pin_the_commit_of_main_is_taken_and_recorded(
    hub: Hub, site: Site, bring: Bring
) -> None:
    hub()
    found = bring()
    assert found.origin == f"{HUB}/{COMMIT}/{FILE}"
    assert found.record == Record(f"{HUB}/main/{FILE}", COMMIT, SHA, len(BODY))
    assert site.gets(f"{REPO}/resolve/main/{FILE}") == []  # main may move while it downloads


def test_a_recorded_commit_stays_when_main_moves(
    hub: Hub, site: Site, bring: Bring, tmp_path: Path
) -> None:
    hub(NEXT)
    hub(COMMIT)
    site.files[f"/{REPO}/resolve/main/{FILE}"].head = named(NEXT, SHA, len(BODY))
    record = tmp_path / "m.json"
    Record(f"{HUB}/main/{FILE}", COMMIT, SHA, len(BODY)).write(record)
    assert bring(record=record).record.revision == COMMIT
    assert bring(record=record, expect=SHA).record.revision == NEXT
    assert bring().record.revision == NEXT


def test_a_placed_copy_keeps_the_recorded_commit(tmp_path: Path) -> None:
    placed, record = tmp_path / "mine.safetensors", tmp_path / "m.json"
    placed.write_bytes(BODY)
    before = Record(f"{HUB}/main/{FILE}", COMMIT, SHA, len(BODY))
    before.write(record)
    source = Source(kind="hub", repo=REPO, file=FILE)
    found = obtain("m", source, "MIT", False, work=tmp_path / "w", file=placed, record=record)
    assert found.record == before


def test_a_broken_download_goes_on_in_the_next_run(
    hub: Hub, site: Site, bring: Bring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)  # else 10 MB are kept or lost
    hub(COMMIT, cut(10_000), status(503))
    assert complaint(bring, revision=COMMIT).endswith(
        "the hub returned HTTP 503; run this again later to resume at byte 10000"
    )
    assert bring(revision=COMMIT).path.read_bytes() == BODY
    assert site.gets(f"{REPO}/resolve/{COMMIT}/{FILE}")[-1]["Range"] == "bytes=10000-"


def test_a_part_that_is_too_long_begins_anew(
    hub: Hub, site: Site, bring: Bring, tmp_path: Path
) -> None:
    hub()
    part = tmp_path / f"work/huggingface.co/{REPO}/{COMMIT}/{FILE}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(BODY + b"more")
    assert bring(revision=COMMIT).path.read_bytes() == BODY
    assert site.gets(f"{REPO}/resolve/{COMMIT}/{FILE}")[-1]["Range"] is None


def test_a_body_that_is_too_short_is_said_so(hub: Hub, bring: Bring) -> None:
    hub(last=status(200, BODY[:100]))
    message = complaint(bring, revision=COMMIT)
    assert "cannot reach the hub (Consistency check failed: file should be of size 40000" in message


def test_the_token_goes_to_the_hub(
    hub: Hub, site: Site, bring: Bring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    hub()
    bring(revision=COMMIT)
    assert {s.headers["Authorization"] for s in site.seen} == {"Bearer hf_mine"}


def test_a_user_may_keep_the_token_back(
    hub: Hub, site: Site, bring: Bring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    hub()
    bring(revision=COMMIT)
    assert {s.headers["Authorization"] for s in site.seen} == {None}


def test_the_token_stays_with_the_hub(
    hub: Hub, site: Site, bring: Bring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    with Site() as storage:
        storage.put("blob", BODY)
        hub(last=status(302, Location=storage.url("blob")))
        assert bring(revision=COMMIT).path.read_bytes() == BODY
        assert [s.headers["Authorization"] for s in storage.seen] == [None]
    assert site.seen[-1].headers["Authorization"] == "Bearer hf_mine"


@pytest.mark.parametrize("offline", [False, True])
def test_the_cache_comes_first(
    hub: Hub,
    site: Site,
    bring: Bring,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    offline: bool,
) -> None:
    hub()
    pointer = in_cache(tmp_path, main=True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    for found in (bring(revision=COMMIT), bring()):
        assert found.path == pointer
        assert (found.origin, found.record.revision) == (f"{HUB}/{COMMIT}/{FILE}", COMMIT)
    assert site.seen == []
    assert not (tmp_path / "work").exists()


def test_a_damaged_cache_is_named_and_left_to_the_user(
    hub: Hub, bring: Bring, tmp_path: Path
) -> None:
    hub()
    pointer = in_cache(tmp_path, body=b"\0weightz" * 5000)
    message = complaint(bring, revision=COMMIT)
    assert message.startswith(f"{pointer}: the copy in the hub's cache is damaged: its sha256 is ")
    assert message.endswith(f"remove it (`rm {pointer.resolve()}`), then run again")
    assert pointer.is_file()


def test_a_cached_file_that_is_not_the_published_one_stays(
    hub: Hub, bring: Bring, tmp_path: Path
) -> None:
    hub()
    pointer = in_cache(tmp_path)
    message = complaint(bring, revision=COMMIT, sha256_starts="0bad")
    assert message.endswith(f"its sha256 is {SHA} but should start with 0bad: it is another file")
    assert pointer.is_file()


def test_offline_without_the_file_says_how_to_bring_it(
    hub: Hub, site: Site, bring: Bring, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    message = complaint(bring, revision=COMMIT)
    assert "HF_HUB_OFFLINE is set, and this file is not in the hub's cache on this" in message
    assert f"`hf download {REPO} {FILE} --revision {COMMIT}`" in message
    assert site.seen == []


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        (401, "GatedRepo", f"{REPO} is gated: accept its terms at https://huggingface.co/{REPO}, "
         "then run `hf auth login` with the same account"),
        (403, "GatedRepo", f"{REPO} is gated: accept its terms"),
        (401, "RepoNotFound", f"the hub denies access to {REPO} (HTTP 401): it was withdrawn "
         "or requires an account"),
        (404, "RevisionNotFound", f"{REPO} has no revision {COMMIT}: see"),
        (404, "EntryNotFound", f"{REPO} has no {FILE} at {COMMIT}: see"),
        (404, "", f"{REPO} has no {FILE} at {COMMIT}: see"),
        (404, "RepoNotFound", f"the hub denies access to {REPO} (HTTP 404)"),
        (418, "", "the hub returned HTTP 418; run this again later"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_to_do(
    hub: Hub, bring: Bring, tmp_path: Path, code: int, error: str, message: str
) -> None:
    hub(refusal=status(code, X_Error_Code=error))
    found = complaint(bring, revision=COMMIT)
    assert f"/{REPO}/resolve/{COMMIT}/{FILE}: {message}" in found
    assert not (tmp_path / "work").exists()


def test_something_that_is_no_hub_is_said_so(hub: Hub, bring: Bring) -> None:
    hub(refusal=status(200))
    assert "unexpected response, not from the hub (it names no commit)" in complaint(bring)


def test_no_network_is_said_so(hub: Hub, bring: Bring, monkeypatch: pytest.MonkeyPatch) -> None:
    template = "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    message = complaint(bring, revision=COMMIT)
    assert "cannot reach the hub (" in message
    assert f"`hf download {REPO} {FILE} --revision {COMMIT}`" in message


def test_a_gated_tag_is_exit_code_3_on_the_command_line(
    hub: Hub, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub()
    path = "timm/vit_small_patch16_224.dino/resolve/main/model.safetensors"
    site.put(path, BODY, head=status(401, X_Error_Code="GatedRepo"))
    content = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text())
    content["models"]["dino"] = {"source": "timm", "tag": "vit_small_patch16_224.dino"}
    work = tmp_path / "work"
    work.mkdir()
    (work / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    monkeypatch.chdir(work)
    done = CliRunner().invoke(app, ["weights", "dino"])
    assert done.exit_code == 3, done.stderr
    assert isinstance(done.exception, SystemExit)
    assert "vit_small_patch16_224.dino is gated: accept its terms at https" in done.stderr
    assert "`hf auth login`" in done.stderr
    assert [p for p in work.rglob("*") if p.is_file()] == [work / "params.yaml"]
