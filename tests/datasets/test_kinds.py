"""Settings, which may not import the datasets, know the same kinds as they do."""

import re
from pathlib import Path
from typing import get_args

import pytest
from patchlens.datasets.card import Card
from patchlens.datasets.kinds import CARDS, KINDS, READERS
from patchlens.datasets.sources.all import SOURCES

from patchlens.settings.datasets import NEEDS, Collected, Minicity
from patchlens.stages.code import closure


def test_settings_allow_exactly_the_kinds_that_have_a_module() -> None:
    allowed = [
        kind
        for section in (Minicity, Collected)
        for kind in get_args(section.model_fields["kind"].annotation)
    ]
    assert sorted(allowed) == sorted(CARDS) == sorted(READERS)
    assert len(KINDS) == len(CARDS)


def test_sources_are_those_of_the_cards() -> None:
    assert sorted(SOURCES) == sorted(CARDS)
    for kind, card in CARDS.items():
        assert vars(SOURCES[kind]).items() <= vars(card).items()
        made = kind in get_args(Minicity.model_fields["kind"].annotation)
        assert (card.access == "made") == made


def test_a_reader_that_changes_does_not_fetch_anew() -> None:
    readers = {
        getattr(read, "func", read).__module__.replace(".", "/") for read in READERS.values()
    }
    readers = {f"{name}.py" for name in readers}
    assert readers < closure("patchlens.stages.index")
    assert not readers & closure("patchlens.stages.fetch")


@pytest.mark.parametrize("task", NEEDS)
def test_settings_know_which_kinds_serve_a_task(task: str) -> None:
    names = {task, "davis"} if task == "tracking" else {task}
    _, kinds = NEEDS[task]
    assert sorted(kinds) == sorted(k for k, card in CARDS.items() if names & set(card.tasks))


@pytest.mark.parametrize("card", CARDS.values(), ids=lambda card: card.kind)
def test_a_card_says_what_its_page_needs(card: Card) -> None:
    for text in (card.title, card.licence, card.citation, card.homepage, card.layout):
        assert text.strip() == text != ""
    assert card.tasks
    assert card.encoding
    assert set(card.tasks) <= {"segmentation", "identification", "retrieval", "tracking", "davis"}
    whats = {what for counts in card.counts.values() for what in counts}
    assert whats <= {"images", "masks", "objects", "instances", "groups"}
    for archive in card.archives:
        assert archive.md5 is None or re.fullmatch("[0-9a-f]{32}", archive.md5)
        assert re.match("https?://", archive.url)
        assert archive.file
        assert not Path(archive.into).is_absolute()
    assert len({archive.file for archive in card.archives}) == len(card.archives)


@pytest.mark.parametrize("card", CARDS.values(), ids=lambda card: card.kind)
def test_what_cannot_be_fetched_says_how_it_is_had(card: Card) -> None:
    if card.access == "open":
        assert card.archives
    elif card.access != "made":
        assert card.how


@pytest.mark.parametrize("kind", CARDS)
def test_a_missing_dataset_is_one_message_that_names_its_folder(kind: str, tmp_path: Path) -> None:
    from patchlens.errors import SourceError

    for root in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(SourceError, match=str(root)):
            READERS[kind](root)
