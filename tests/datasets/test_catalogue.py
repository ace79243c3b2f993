"""The catalogue says what each kind of dataset is; settings, fetch and readers follow it."""

from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from minicity import spec
from patchlens.datasets import catalogue
from patchlens.datasets.catalogue import entries, find, in_words, kinds
from patchlens.datasets.readers import READERS, read
from patchlens.errors import SettingsError, SourceError
from patchlens.plan.code import closure
from patchlens.plan.stages import module
from patchlens.settings.datasets import Minicity
from patchlens.tasks.known import sections

NEEDS = [task for task, section in sections().items() if section.needs]


@pytest.fixture
def edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`edited("cub200", licence="MIT")`: a copy of the catalogue with other keys in one entry."""

    def edit(kind: str, **keys: Any) -> Path:
        content = yaml.safe_load(catalogue.FILE.read_text(encoding="utf-8"))
        entry = content.setdefault(kind, {}) | keys
        content[kind] = {key: value for key, value in entry.items() if value is not None}
        path = tmp_path / "catalogue.yaml"
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        monkeypatch.setattr(catalogue, "FILE", path)
        catalogue._read.cache_clear()
        return path

    return edit


def complaint(path: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        entries()
    return str(caught.value).removeprefix(f"{path}: ")


def test_every_reader_has_a_kind_and_every_kind_a_reader() -> None:
    assert {entry.reader for entry in entries().values()} == set(READERS)


def test_what_the_pipeline_makes_is_what_settings_call_minicity() -> None:
    made = [kind for kind, entry in entries().items() if entry.access == "made"]
    assert tuple(made) == get_args(Minicity.model_fields["kind"].annotation)


def test_minicity_is_what_its_renderer_draws() -> None:
    facts = find("minicity")
    assert tuple(facts.classes) == spec.CLASSES
    frames = {split: about.count * about.frames for split, about in spec.SPLITS.items()}
    assert facts.counts == {s: {"images": n, "masks": n} for s, n in frames.items()}


@pytest.mark.parametrize("task", NEEDS)
def test_tasks_find_their_kinds(task: str) -> None:
    allowed = {kind for kind, tasks in kinds().items() if task in tasks}
    assert {"minicity", "folder"} < allowed < set(entries())


def test_every_kind_serves_identification_which_takes_any_images() -> None:
    assert len(entries()) > 20
    assert all("identification" in entry.tasks for entry in entries().values())


def test_label_propagation_is_a_part_of_tracking() -> None:
    for kind in ("davis2016", "davis2017"):
        assert find(kind).tasks == ["davis", "identification"]
        assert in_words(find(kind).tasks) == "tracking (label propagation), identification"
        assert kinds()[kind] == {"tracking", "identification"}
    assert kinds()["mot17"] == {"tracking", "retrieval", "identification"}
    assert kinds()["coil100"] == {"retrieval", "identification"}


def test_an_unknown_kind_has_the_nearest_name() -> None:
    with pytest.raises(SettingsError, match=r"unknown kind 'mot71' .*'mot17'"):
        find("mot71")


def test_a_reader_that_changes_does_not_fetch_anew() -> None:
    readers = {f"{reader.__module__.replace('.', '/')}.py" for reader in READERS.values()}
    assert readers < closure("patchlens.datasets.indexing")
    fetch = closure("patchlens.datasets.fetch")
    assert "patchlens/datasets/catalogue.yaml" in fetch
    assert not (readers | {"patchlens/datasets/readers.py"}) & fetch


@pytest.mark.parametrize("stage", ["extract", "segmentation", "tracking", "tables"])
def test_a_new_dataset_does_not_touch_what_is_measured_on_others(stage: str) -> None:
    assert not [f for f in closure(module(stage)) if "catalogue" in f]


@pytest.mark.parametrize("kind", entries())
def test_a_missing_dataset_is_one_message_that_names_its_folder(kind: str, tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(SourceError, match=str(root)):
            read(kind, root)


ARCHIVE = {"url": "https://x.org/a.zip"}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"licnece": "MIT"}, "cub200.licnece: unknown key; allowed: access, archives, citation, "),
        ({"licence": None}, "cub200.licence: this key is missing"),
        ({"licence": " "}, "cub200.licence: 1 characters; allowed: at least 1"),
        ({"how": None}, "cub200: 'how' is missing: say how to obtain the dataset"),
        ({"archives": None}, "cub200: access: open needs 'archives'"),
        ({"access": "opne"}, "cub200.access: 'opne' is unknown; allowed: account, csdownload, "),
        ({"tasks": []}, "cub200.tasks: 0 entries; allowed: at least 1"),
        ({"tasks": ["retreival"]}, "cub200.tasks[0]: 'retreival' is unknown; allowed: davis, "),
        ({"encoding": []}, "cub200.encoding: 0 entries; allowed: at least 1"),
        ({"counts": {"test": {"image": 3}}}, "cub200.counts.test.image: 'image' is not allowed; "),
        ({"counts": {"test": {"images": 0}}}, "cub200.counts.test.images: 0 is out of range; "),
        ({"archives": [ARCHIVE, ARCHIVE]}, "cub200: archives: two have the name a.zip; set "),
        ({"archives": [ARCHIVE | {"md5": "0F"}]}, "cub200.archives[0].md5: '0F' is not allowed; "),
        ({"archives": [ARCHIVE | {"into": "../x"}]}, "cub200.archives[0]: '../x' is outside the "),
        ({"archives": [ARCHIVE | {"name": "/x"}]}, "cub200.archives[0]: '/x' is outside the "),
        ({"archives": [{"url": "https://x.org/"}]}, "cub200.archives[0]: 'name' is missing: "),
        ({"archives": [{"url": "ftp://x.org/a.zip"}]}, "cub200.archives[0].url: 'ftp://x.org/"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_its_place(edited: Any, keys: Any, message: str) -> None:
    found = complaint(edited("cub200", **keys))
    assert found.startswith(message)
    assert "\n" not in found


@pytest.mark.parametrize(
    ("kind", "keys", "message"),
    [
        ("mot16", {"reader": "mto"}, "mot16.reader: 'mto' is unknown; .* did you mean 'mot'"),
        ("mot16", {"options": {"seqifno": True}}, "mot16.options.seqifno: Unexpected keyword"),
        ("mot16", {"options": {"seqinfo": "no"}}, "mot16.options.seqinfo: .* valid boolean"),
        ("mot17", {"options": {"detectors": "DPM"}}, "mot17.options.detectors: "),
        ("roxford5k", {"options": None}, "roxford5k.options.truth: Missing required"),
        ("davis2017", {"options": {"release": 2018}}, "davis2017.options.release: .* 2016 or 2017"),
    ],
)
def test_a_reader_refuses_what_it_does_not_know(
    edited: Any, tmp_path: Path, kind: str, keys: Any, message: str
) -> None:
    path = edited(kind, **keys)
    with pytest.raises(SettingsError, match=f"^{path}: {message}") as caught:
        read(kind, tmp_path)
    assert "\n" not in str(caught.value)
