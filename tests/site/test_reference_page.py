"""The page of published numbers: what rows share is said once, what was not run is folded."""

import re
from pathlib import Path

from patchlens.report.reference import Compared, published
from patchlens.site.reference import _folded, _section

ONE = next(iter(published().values()))


def row(dataset: str, why: str, ours: float | None = None) -> Compared:
    status = "not run" if ours is None else "within"
    return Compared(ONE, "MAE", dataset, "knn.raw.pixel_miou", 7.8, status, ours, "mae", why)


def test_what_all_rows_share_is_said_once() -> None:
    rows = [row("ade20k", "no ade20k in it, no weights"), row("voc2012", "no weights")]

    assert _folded([rows[1], rows[1]]) == (["All rows: not run: no weights."], ["", ""])
    assert _folded([rows[0], rows[1], rows[1]]) == (
        ["(a) not run: no weights."],
        ["not run: no ade20k in it, no weights", "not run (a)", "not run (a)"],
    )


def test_columns_that_no_row_fills_are_left_out() -> None:
    nothing = _section("key", [row("ade20k", "no weights"), row("voc2012", "no weights")])
    something = _section("key", [row("ade20k", "no weights"), row("voc2012", "", ours=8.0)])

    assert nothing.grid.header == ["model", "dataset", "score", "published"]
    assert nothing.lines[-1] == "All rows: not run: no weights."
    assert (nothing.summary, nothing.compared) == ("2 not run", False)
    assert something.grid.header[-3:] == ["ours", "difference", "result"]
    assert (something.summary, something.compared) == ("1 within the band, 1 not run", True)


def test_every_published_number_is_in_the_page_and_only_compared_ones_are_unfolded(
    built: Path,
) -> None:
    text = (built / "reference.html").read_text(encoding="utf-8")
    numbers = sum(
        len(values)
        for one in published().values()
        for model in one.models.values()
        for values in model.values.values()
    )

    assert len(re.findall(r'<th scope="row"', text)) == numbers
    assert "<details" in text
    assert not re.search(r"<details[^>]* open", text)  # this run has nothing to compare
