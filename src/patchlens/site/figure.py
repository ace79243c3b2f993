"""What a figure of the site is: a Vega-Lite specification with its selectors and its data."""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from patchlens.report import grid
from patchlens.site import prose

ROWS = "rows"  # name of the data in a specification
HIDDEN = "hidden"  # the signal that holds the models that the legend hides
HEIGHT = 300  # pixels
ROW = 26  # pixels a row of bars or points
FORMS = {"csv": "CSV", "md": "Markdown", "tex": "LaTeX"}  # of a table, by the ends of its files


@dataclass(frozen=True)
class Control:
    """A selector of a figure.

    Attributes:
        field: the column whose rows are chosen.
        label: its name on the page.
        options: the values of the column, in order -> in words.
        value: the one that is chosen at first.
    """

    field: str
    label: str
    options: Mapping[str, str]
    value: str

    @property
    def signal(self) -> str:
        """The signal of the specification that holds the choice."""
        return f"choose_{self.field}"


@dataclass(frozen=True)
class Figure:
    """A figure.

    Attributes:
        key: unique in the site; also the name of its data file.
        title: above the figure.
        alt: what it shows, in words.
        spec: the Vega-Lite specification with its data.
        data: the same data, for the CSV file.
        controls: its selectors.
        models: those of the legend.
        note: below the title.
        wide: whether it takes the whole width of the page.
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
        """Where its data lies below the site."""
        return f"data/{self.key}.csv"

    def files(self) -> dict[str, bytes]:
        """Its data as a file of the page."""
        return {self.csv_path: csv(self.data)}


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its text, what to sort by, whether it is level with the best."""

    text: str
    value: float | str | None = None
    best: bool = False


@dataclass(frozen=True)
class Grid:
    """A table of the site.

    Attributes:
        key: unique in the site; also the name of its files.
        caption: above it.
        header: a name a column.
        rows: cells, as many a row as the header has names.
        note: below it.
    """

    key: str
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""

    @property
    def links(self) -> dict[str, str]:
        """Name of a form -> where the same table lies below the site."""
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
    text = io.StringIO()
    table.to_csv(text, index=False, lineterminator="\n")
    return text.getvalue().encode()


def base(controls: Sequence[Control] = ()) -> alt.Chart:
    """A chart of the rows that the selectors choose, of models that are not hidden."""
    chart = alt.Chart(alt.NamedData(name=ROWS)).add_params(alt.param(name=HIDDEN, value=[]))
    chart = chart.transform_filter(f"!isValid(datum.model) || indexof({HIDDEN}, datum.model) < 0")
    for control in controls:
        chosen = alt.param(name=control.signal, value=control.value)
        chart = chart.add_params(chosen).transform_filter(
            f"'' + datum[{control.field!r}] === {control.signal}"
        )
    return chart


def spec(layers: Sequence[alt.Chart], data: pd.DataFrame, height: int = HEIGHT) -> dict[str, Any]:
    """The specification of a chart as wide as its box; colours of text and grid are the page's.

    Args:
        layers: made of `base`, the lowest first.
        data: its rows; they are kept under one header, a third of the size: see figures.js.
        height: in pixels.
    """
    chart = alt.layer(*layers)
    found: dict[str, Any] = chart.properties(width="container", height=height).to_dict()
    found.pop("config", None)
    rows = data.astype(object).where(data.notna(), None).values.tolist()
    return found | {"datasets": {ROWS: {"header": list(data.columns), "rows": rows}}}


def choices(data: pd.DataFrame, fields: Sequence[str]) -> list[Control]:
    """A selector for each column that has more than one value; `raw` and `all` come first.

    Args:
        data: the rows of the figure.
        fields: columns that tell its rows apart.
    """
    found = []
    for name in fields:
        values = list(dict.fromkeys(data[name].astype(str)))
        if len(values) > 1:
            first = next((value for value in ("raw", "all") if value in values), values[0])
            words = {value: prose.value(value) for value in values}
            found.append(Control(name, prose.column(name).capitalize(), words, first))
    return found
