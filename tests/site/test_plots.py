"""DVC's templates are those of the charts; text on pictures is legible beyond ASCII."""

import json
from pathlib import Path

import pandas as pd
import pytest
import vl_convert
from pandas.api.types import is_numeric_dtype

from patchlens import paths
from patchlens.lettering import text
from patchlens.names import DatasetName, ModelName
from patchlens.site.curves import dvc_template
from patchlens.site.plots import TEMPLATES, Plot


def test_the_committed_templates_are_made_from_the_charts(root: Path) -> None:
    committed = {p.stem: json.loads(p.read_text()) for p in (root / ".dvc/plots").iterdir()}
    made = {name: dvc_template(panels) for name, panels in TEMPLATES.items()}
    assert made == committed, "run `make plot-templates`"


@pytest.mark.parametrize("name", TEMPLATES)
def test_vega_lite_accepts_a_template_and_draws_what_its_anchors_name(name: str) -> None:
    panels = TEMPLATES[name]
    row = {"at": 1, "score": 0.5, "rev": "HEAD", "size": "all"}
    rows = [row | {panels.colour: 0, panels.row: "r", panels.column: "c"}]
    spec = json.dumps(dvc_template(panels)).replace('"<DVC_METRIC_DATA>"', json.dumps(rows))
    for anchor, words in (("X", "at"), ("Y", "score"), ("X_LABEL", "along"), ("Y_LABEL", "up")):
        spec = spec.replace(f"<DVC_METRIC_{anchor}>", words)
    drawn = vl_convert.vegalite_to_svg(spec, vl_version="5.20")
    assert {"along", "up"} <= {part.split("<")[0] for part in drawn.split(">")}
    assert 'aria-roledescription="point"' in drawn


def test_a_cell_without_a_curve_changes_no_type_and_alone_has_no_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Label propagation on DAVIS has no points over Δ: its file is a header."""
    monkeypatch.chdir(tmp_path)
    files = {"davis": "", "mot": "raw,1,0.75,9\nraw,20,0.5,7\n", "kitti": "raw,1,0.25,3\n"}
    for dataset, rows in files.items():
        cell = paths.cell(dataset=DatasetName(dataset), model=ModelName("dino"))
        cell.mkdir(parents=True)
        (cell / "t.csv").write_text(f"variant,delta,nearest,pairs\n{rows}", encoding="utf-8")

    def rows_of(*datasets: str) -> pd.DataFrame:
        return Plot("tracking", "t.csv", "delta", "nearest", None, None, datasets).rows({"dino": 0})

    for order in (("davis", "mot", "kitti"), ("mot", "davis"), ("kitti", "davis")):
        mixed = rows_of(*order)
        alone = rows_of(*(name for name in order if name != "davis"))
        pd.testing.assert_frame_equal(mixed, alone)
        assert all(map(is_numeric_dtype, (mixed["delta"], mixed["nearest"], mixed["pairs"])))
    assert rows_of("davis").empty


def test_text_has_the_letters_of_europe_and_its_own_colour() -> None:
    nothing = text("\ue000", 12)
    for letter in "éßğžλя…×":
        assert text(letter, 12).tobytes() != nothing.tobytes(), letter
    assert text("", 12).width == 1
    assert text("two words", 12).width > text("two", 12).width + text("words", 12).width
    ink = max(text("■" * 3, 20, "#D55E00").convert("RGBA").getcolors() or [], key=lambda n: n[1][3])
    assert ink[1][:3] == (0xD5, 0x5E, 0)


def test_what_no_font_draws_stops_no_picture() -> None:
    assert text("a\x00\n<&\ud800".encode("utf-8", "replace").decode(), 12).width > 10
