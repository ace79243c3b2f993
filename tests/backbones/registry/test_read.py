"""A mistake in a registry file is one message with the file, the entry and the key."""

from collections.abc import Callable
from pathlib import Path

import pytest

from patchlens.backbones.registry import read
from patchlens.errors import SettingsError

ENTRY = """
{name}:
  title: A model
  family: A
  objective: supervised
  data: images
  images_seen: not stated
  source: {{kind: url, url: "https://example.org/w.pth"}}
  mapping: {{}}
  arch: vit_tiny_patch16_224
  mean: [0, 0, 0]
  std: [1, 1, 1]
  interpolation: bicubic
  position: timm
  prefix_tokens: 1
  patch_size: 16
  width: 192
  depth: 12
  native: 224
  parameters_m: 5.5
  licence: MIT
  non_commercial: false
  citation: me
  homepage: https://example.org
"""
Write = Callable[..., Path]


@pytest.fixture
def family(tmp_path: Path) -> Write:
    """`family("a", text)`: a folder with the file a.yaml."""

    def write(name: str, text: str) -> Path:
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
        return tmp_path

    return write


def complaint(folder: Path) -> str:
    read.entries.cache_clear()
    with pytest.raises(SettingsError) as caught:
        read.entries(folder)
    return str(caught.value).replace(f"{folder}/", "")


def test_entries_of_all_files_are_merged(family: Write) -> None:
    family("a", ENTRY.format(name="one") + ENTRY.format(name="two"))
    folder = family("b", ENTRY.format(name="three"))
    assert list(read.entries(folder)) == ["one", "two", "three"]
    assert read.entries(folder)["two"].source.url == "https://example.org/w.pth"


def test_a_name_is_there_once(family: Write) -> None:
    family("a", ENTRY.format(name="one"))
    folder = family("b", ENTRY.format(name="one"))
    assert complaint(folder) == "b.yaml: 'one' is also in a.yaml; rename one of them"


@pytest.mark.parametrize(
    ("text", "twice"),
    [
        (ENTRY.format(name="one") * 2, "one"),
        (ENTRY.format(name="one") + "  arch: other\n", "arch"),
        (ENTRY.format(name="one") + "  notes: [{a: 1, a: 2}]\n", "a"),
    ],
)
def test_yaml_that_overwrites_itself_is_refused(family: Write, text: str, twice: str) -> None:
    said = complaint(family("a", text))
    assert said.startswith(f"a.yaml: not valid YAML: '{twice}' is defined twice at line ")


def test_one_entry_may_build_on_another(family: Write) -> None:
    text = ENTRY.format(name="one: &one") + "two:\n  <<: *one\n  title: Another\n"
    found = read.entries(family("a", text.replace("&one:", "&one")))
    assert (found["one"].title, found["two"].title) == ("A model", "Another")
    assert found["two"].arch == found["one"].arch


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("arch:", "archi:"), "a.yaml: one.arch: this key is missing\na.yaml: one.archi: unknown "),
        (("position: timm", "position: tim"), "a.yaml: one.position: 'tim' is unknown; allowed: "),
        (("kind: url", "kind: ftp"), "a.yaml: one.source.kind: 'ftp' is unknown; allowed: drive,"),
        (("kind: url", "kind: hub"), "a.yaml: one.source: kind hub needs repo and file"),
        (("width: 192", "width: 0192"), "a.yaml: not valid YAML: '0192' is not the same value in "),
        (("width: 192", "width: 0"), "a.yaml: one.width: 0 is out of range; allowed: ≥ 1"),
        (("one:", "One:"), "a.yaml: One: 'One' is not allowed; use a-z, 0-9 and _ only"),
        (("url: ", "sha256: 0bad, url: "), "a.yaml: one.source.sha256: '0bad' is not allowed; a "),
        (("url: ", "md5: 0bad, url: "), "a.yaml: one.source.md5: '0bad' is not allowed; it must "),
        (("url: ", "sha256_starts: x, url: "), "a.yaml: one.source.sha256_starts: 'x' is not "),
        (("url: ", "revision: main, url: "), "a.yaml: one.source.revision: 'main' is not allowed"),
        (("https:", "http:"), "a.yaml: one.source.url: 'http://example.org/w.pth' is not allowed;"),
        (("one:", "one: ["), "a.yaml: not valid YAML: "),
    ],
)
def test_a_mistake_names_its_place(family: Write, change: tuple[str, str], message: str) -> None:
    folder = family("a", ENTRY.format(name="one").replace(*change))
    assert complaint(folder).startswith(message)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "this file is empty; restore it, or write {} for none"),
        ("- one\n", "(whole file): ['one'] (list) is invalid; allowed: a section with keys"),
        ("one\n", "(whole file): 'one' (str) is invalid; allowed: a section with keys"),
    ],
)
def test_a_file_without_entries(family: Write, text: str, fault: str) -> None:
    assert complaint(family("a", text)) == f"a.yaml: {fault}"


def test_a_misspelt_name_is_met_with_the_nearest() -> None:
    assert read.find("dino_vitb16", "here").family == "DINO"
    with pytest.raises(SettingsError) as caught:
        read.find("dino_vitb61", "params.yaml: models.x.model")
    message = str(caught.value)
    assert message.startswith("params.yaml: models.x.model: 'dino_vitb61' is not in the registry (")
    assert message.endswith("did you mean 'dino_vitb16'?")
