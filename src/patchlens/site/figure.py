"""A figure of the site: a Vega-Lite specification with its selectors and its data."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from patchlens.display import grid
from patchlens.files import csv_text
from patchlens.site.lexicon import Lexicon, everywhere

ROWS = "rows"  # name of the data in a specification
HIDDEN = "hidden"  # the signal with the models hidden by the legend
HEIGHT = 300  # pixels
ROW = 26  # pixels per row of bars or points
FORMS = {"csv": "CSV", "md": "Markdown", "tex": "LaTeX"}  # formats of a table, by file suffix


@dataclass(frozen=True)
class Control:
    """A selector of a figure.

    Attributes:
        field: the column by which rows are selected.
        label: its name on the page.
        options: value of the column -> its words, in order.
        value: the value selected at first.
    """

    field: str
    label: str
    options: Mapping[str, str]
    value: str

    @property
    def signal(self) -> str:
        """The signal of the specification with the selection."""
        return f"choose_{self.field}"


@dataclass(frozen=True)
class Figure:
    """A figure.

    Attributes:
        key: unique in the site; also the name of its data file.
        title: above the figure.
        alt: the alternative text.
        spec: the Vega-Lite specification with its data.
        data: the same data, for the CSV file.
        controls: its selectors.
        models: the models in the legend.
        note: text below the title.
        wide: whether it spans the page.
    """

    key: str
    title: str
    alt: str
    spec: dict[str, Any]
    data: pd.DataFrame
    controls: Sequence[Control] = ()
    models: Sequence[str] = ()
    note: str = ""
    wide: bool = False

    @property
    def csv_path(self) -> str:
        """The path of its data in the site."""
        return f"data/{self.key}.csv"

    def files(self) -> dict[str, bytes]:
        """Its data as a file of the page."""
        return {self.csv_path: csv(self.data)}


@dataclass(frozen=True)
class TableCell:
    """A cell of a table: its text, its sort key, and whether it is level with the best."""

    text: str
    value: float | str | None = None
    best: bool = False


@dataclass(frozen=True)
class Grid:
    """A table of the site.

    Attributes:
        key: unique in the site; also the name of its files.
        caption: text above the table.
        header: one name per column.
        rows: rows of cells, one cell per column.
        note: text below the table.
    """

    key: str
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[TableCell]]
    note: str = ""

    @property
    def links(self) -> dict[str, str]:
        """Name of a format -> path of the same table in the site."""
        return {words: f"tables/shown/{self.key}.{end}" for end, words in FORMS.items()}

    def files(self) -> dict[str, bytes]:
        """The same table as files of the page."""
        plain = [[cell.text for cell in row] for row in self.rows]
        marked = [[f"**{c.text}**" if c.best and c.text else c.text for c in r] for r in self.rows]
        texts = (
            csv(pd.DataFrame(plain, columns=list(self.header))),
            (grid.markdown(self.header, marked) + "\n").encode(),
            (grid.latex(self.header, marked, self.caption) + "\n").encode(),
        )
        return dict(zip(self.links.values(), texts, strict=True))


def files(parts: Iterable[Figure | Grid]) -> dict[str, bytes]:
    """The data of figures and tables, as files of their page."""
    return {path: content for part in parts for path, content in part.files().items()}


def csv(table: pd.DataFrame) -> bytes:
    """A table as CSV."""
    return csv_text(table).encode()


def base(controls: Sequence[Control] = ()) -> alt.Chart:
    """A chart of the selected rows, without hidden models."""
    chart = alt.Chart(alt.NamedData(name=ROWS)).add_params(alt.param(name=HIDDEN, value=[]))
    chart = chart.transform_filter(f"!isValid(datum.model) || indexof({HIDDEN}, datum.model) < 0")
    for control in controls:
        chosen = alt.param(name=control.signal, value=control.value)
        chart = chart.add_params(chosen).transform_filter(
            f"'' + datum[{control.field!r}] === {control.signal}"
        )
    return chart


def spec(layers: Sequence[alt.Chart], data: pd.DataFrame, height: int = HEIGHT) -> dict[str, Any]:
    """The specification of a chart as wide as its box; the page sets colours of text and grid.

    Args:
        layers: made from `base`, the lowest first.
        data: its rows, stored under one header at a third of the size: see figures.js.
        height: in pixels.
    """
    chart = alt.layer(*layers)
    found: dict[str, Any] = chart.properties(width="container", height=height).to_dict()
    found.pop("config", None)
    rows = data.astype(object).where(data.notna(), None).values.tolist()
    return found | {"datasets": {ROWS: {"header": list(data.columns), "rows": rows}}}


def choices(
    data: pd.DataFrame, fields: Sequence[str], lexicon: Lexicon | None = None
) -> list[Control]:
    """A selector for each column with more than one value; `raw` and `all` come first.

    Args:
        data: the rows of the figure.
        fields: columns that distinguish its rows.
        lexicon: the words for columns and values; by default, those of all tasks.
    """
    found, called = [], everywhere() if lexicon is None else lexicon
    for name in fields:
        values = list(dict.fromkeys(data[name].astype(str)))
        if len(values) > 1:
            first = next((value for value in ("raw", "all") if value in values), values[0])
            words = {value: called.value(value) for value in values}
            found.append(Control(name, called.column(name).capitalize(), words, first))
    return found
