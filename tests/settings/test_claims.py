import re
from pathlib import Path

import pytest
import yaml

from patchlens.errors import SettingsError
from patchlens.features.variants import VARIANTS
from patchlens.report.measures import KNOWN
from patchlens.settings.claims import Claim, load

VALID = """
c3:
  text: Pruning raises k-NN.
  source: abstract
  kind: difference
  metric: segmentation.knn.pixel_miou
  datasets: [town]
  a: {models: [mae], variant: prune}
  b: {models: [mae]}
  direction: greater
  delta: 0.01
"""
PAPER = {"group": "paper", "slots": {"mae": [".mae"]}}
EQUAL = {"kind": "equivalence", "direction": None}


def complaints(tmp_path: Path, changes: dict) -> list[str]:
    """The lines of the error for a claim with other keys (None takes one away)."""
    content = yaml.safe_load(VALID)
    content["c3"] = {k: v for k, v in (content["c3"] | changes).items() if v is not None}
    return failing(tmp_path, yaml.safe_dump(content))


def failing(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "claims.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load(path, KNOWN, VARIANTS)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{path}: ") for line in lines)
    return [line.removeprefix(f"{path}: ") for line in lines]


@pytest.mark.parametrize(
    ("metric", "near"),
    [
        ("segmentaton.knn.pixel_miou", "segmentation.knn.pixel_miou"),
        ("segmentation.knn.pixel_moiu", "segmentation.knn.pixel_miou"),
        ("tracking.association.d", "tracking.association.d{}"),
        ("variance.top2", "variance.top"),
        ("Retrieval.instance.map", "retrieval.instance.map"),
    ],
)
def test_a_misspelt_metric_is_an_error_with_the_nearest_name(tmp_path, metric, near):
    (line,) = complaints(tmp_path, {"metric": metric})
    assert line.startswith(f"c3.metric: '{metric}' is unknown; allowed: ")
    assert f"did you mean '{near}" in line


@pytest.mark.parametrize("metric", ["miou", "", "x" * 5000, "depth.knn.error", "a\nb"])
def test_what_is_no_metric_is_one_short_line(tmp_path, metric):
    (line,) = complaints(tmp_path, {"metric": metric})
    assert line.startswith("c3.metric: ")
    assert len(line) < 1500


def test_every_metric_is_accepted(tmp_path):
    assert len(KNOWN) > 50
    for name in KNOWN:
        metric = name.replace("{}", "7")  # of a family, any number
        path = tmp_path / "claims.yaml"
        content = yaml.safe_load(VALID)
        content["c3"]["metric"] = metric
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        assert load(path, KNOWN, VARIANTS)["c3"].metric == metric


def test_chance_needs_a_metric_that_has_one(tmp_path):
    metric = "segmentation.knn.pixel_miou_chance"
    chance = EQUAL | {"chance": {"variant": "keep_top"}, "metric": metric}
    assert complaints(tmp_path, chance) == [
        f"c3.chance: no chance level is defined for '{metric}'; remove this key"
    ]


def test_a_valid_claim_has_its_defaults(tmp_path):
    path = tmp_path / "claims.yaml"
    path.write_text(VALID, encoding="utf-8")
    (name, claim), *others = load(path, KNOWN, VARIANTS).items()
    assert (name, others) == ("c3", [])
    assert (claim.group, claim.b.variant, claim.chance, claim.slots) == ("own", "raw", None, {})
    assert claim.models == ["mae"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"delta": -0.1}, "c3.delta: -0.1 is out of range; allowed: 0 to 100000"),
        ({"delta": "0.1"}, "c3.delta: '0.1' (str) is invalid; allowed: a valid number"),
        ({"delta": float("nan")}, "c3.delta: nan (float) is invalid; allowed: a finite number"),
        (
            {"kind": "diference"},
            "c3.kind: 'diference' is unknown; allowed: difference, equivalence, superlative; "
            "did you mean 'difference'?",
        ),
        ({"source": None}, "c3.source: this key is missing"),
        ({"text": ""}, "c3.text: 0 characters; allowed: at least 1"),
        ({"datasets": []}, "c3.datasets: 0 entries; allowed: at least 1"),
        ({"a": {"models": []}}, "c3.a.models: 0 entries; allowed: at least 1"),
        ({"a": "mae"}, "c3.a: 'mae' (str) is invalid; allowed: a section with keys"),
        (
            {"a": {"model": ["mae"], "models": ["mae"]}},
            "c3.a.model: unknown key; allowed: models, variant; did you mean 'models'?",
        ),
        ({"datasets": ["My Town"]}, "c3.datasets[0]: 'My Town' is not allowed; use a-z, 0-9 and _"),
        (
            {"direction": None},
            "c3.direction: this key is missing; a difference needs greater or less",
        ),
        ({"kind": "equivalence"}, "c3.direction: an equivalence has no direction; remove this key"),
        (EQUAL | {"delta": 0}, "c3.delta: an equivalence needs a margin above 0; allowed: > 0"),
        (
            {"chance": {"variant": "keep_top"}},
            "c3.chance: allowed with kind: equivalence only; remove this key",
        ),
        (
            EQUAL | {"chance": {"variant": "keep_top"}, "metric": "variance.top1"},
            "c3.chance: no chance level is defined for 'variance.top1'; remove this key",
        ),
        (PAPER | {"datasets": ["minicity"]}, "c3.datasets: a claim of group paper is about real"),
        (
            {"group": "minicity", "slots": {"mae": ["x"]}},
            "c3.datasets: must be [minicity] for a claim of group minicity",
        ),
        (
            {"group": "minicity", "datasets": ["minicity"]},
            "c3.slots: a claim of group minicity must state the weights of mae",
        ),
        ({"group": "paper"}, "c3.slots: a claim of group paper must state the weights of mae"),
        ({"slots": {"dino": ["x"]}}, "c3.slots.dino: not a model of this claim; allowed: mae"),
        ({"datasets": ["town", "town"]}, "c3.datasets: 'town' is listed twice; remove one"),
        ({"b": {"models": ["mae", "mae"]}}, "c3.b.models: 'mae' is listed twice; remove one"),
        ({"a": {"models": ["mae"]}}, "c3.b: overlaps with a; choose other models"),
        (
            {"kind": "superlative", "a": {"models": ["mae"]}, "b": {"models": ["dino", "mae"]}},
            "c3.b: overlaps with a; choose other models",
        ),
    ],
)
def test_a_mistake_is_one_line_with_its_place(tmp_path, changes, message):
    (line,) = complaints(tmp_path, changes)
    assert line.startswith(message)


def test_an_unknown_variant_is_told_the_nearest(tmp_path):
    (line,) = complaints(tmp_path, {"a": {"models": ["mae"], "variant": "prun"}})
    assert line.startswith("c3.a.variant: 'prun' is unknown; allowed: ")
    assert line.endswith("did you mean 'prune'?")


def test_an_unknown_key_is_told_the_nearest(tmp_path):
    (line,) = complaints(tmp_path, {"dleta": 0.1})
    assert line.startswith("c3.dleta: unknown key; allowed: ")
    assert line.endswith("did you mean 'delta'?")


def test_every_mistake_of_every_claim_is_a_line(tmp_path):
    second = VALID.replace("c3:", "c4:").replace("0.01", "-1").replace("kind: difference", "")
    third = VALID.replace("c3:", "c5:").replace("town", "minicity").replace("greater", "~")
    third += "  group: paper\n"
    lines = failing(tmp_path, VALID + second + third)
    assert [line.split(":")[0] for line in lines] == [
        "c4.kind",
        "c4.delta",
        "c5.direction",
        "c5.datasets",
        "c5.slots",
    ]


def test_text_that_is_no_utf_8(tmp_path):
    path = tmp_path / "claims.yaml"
    path.write_bytes(b"# stra\xdfe\n" + VALID.encode())
    with pytest.raises(SettingsError, match=r"claims\.yaml: line 1 is not UTF-8"):
        load(path, KNOWN, VARIANTS)


def test_an_id_that_stands_twice_is_not_silently_dropped(tmp_path):
    (line,) = failing(tmp_path, VALID + VALID)
    assert re.search(r"not valid YAML: 'c3' is defined twice at line 13", line)
    (line,) = failing(tmp_path, VALID + "  delta: 0.5\n")
    assert "'delta' is defined twice" in line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("c3: [", "not valid YAML"),
        ("- a\n", "(whole file): ['a'] (list) is invalid; allowed: a section with keys"),
        ("C3: {}\n", "C3: 'C3' is not allowed; use a-z, 0-9 and _ only"),
        ("c3: supported\n", "c3: 'supported' (str) is invalid; allowed: a section with keys"),
    ],
)
def test_a_file_that_holds_no_claims_says_where(tmp_path, text, message):
    assert failing(tmp_path, text)[0].startswith(message)


def test_a_missing_file_is_an_error_and_no_claims_must_be_written(tmp_path):
    with pytest.raises(SettingsError, match="no such file; restore it with `git checkout"):
        load(tmp_path / "claims.yaml", KNOWN, VARIANTS)
    for empty in ("", "# nothing yet\n", "~", "---\n"):
        assert failing(tmp_path, empty) == ["this file is empty; restore it, or write {} for none"]
    (tmp_path / "claims.yaml").write_text("{}\n", encoding="utf-8")
    assert load(tmp_path / "claims.yaml", KNOWN, VARIANTS) == {}


def shipped(root: Path) -> dict[str, Claim]:
    return load(root / "claims.yaml", KNOWN, VARIANTS)


def test_the_shipped_file_has_every_finding_of_the_paper_and_says_why_each_delta(root):
    claims = shipped(root)
    assert {"c1", "c2", "c3_mae", "c3_scalemae", "c4", "c5", "c6_robustness"} <= set(claims)
    own = [name for name, claim in claims.items() if claim.group == "own"]
    assert own == ["floor_pixels"]  # its scores were known when it was written
    deltas = [line for line in (root / "claims.yaml").read_text().splitlines() if "delta:" in line]
    assert len(deltas) == len(claims)
    assert all(re.search(r"delta: [\d.]+ +# \w", line) for line in deltas)


def test_the_worked_example_of_the_page_is_a_valid_claim(root, tmp_path):
    page = (root / "docs/claims.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    path = tmp_path / "claims.yaml"
    path.write_text((root / "claims.yaml").read_text() + block, encoding="utf-8")
    added = set(load(path, KNOWN, VARIANTS)) - set(shipped(root))
    assert len(added) == 1
    assert load(path, KNOWN, VARIANTS)[added.pop()].group == "own"


def test_the_page_explains_every_key(root):
    page = (root / "docs/claims.md").read_text(encoding="utf-8")
    for key in Claim.model_fields:
        assert f"| `{key}` |" in page, key
