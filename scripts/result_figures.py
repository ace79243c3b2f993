"""Draw the figures of docs/results-minicity.md: the charts of the site's studies, side by side.

`make readme` runs it in a reproduced checkout of the default.
"""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import vl_convert
import yaml
from PIL import Image

from patchlens import paths
from patchlens.display.palette import looks
from patchlens.site import studies
from patchlens.site.figure import ROWS, Figure
from patchlens.site.plots import read

OUT = Path("docs/results-minicity")
WHITE = {"background": "white", "font": "Liberation Sans", "view": {"stroke": None}}
LEGEND = {"symbolSize": 1600, "symbolBaseStrokeColor": "black"}


def main() -> None:
    params = yaml.safe_load(paths.PARAMS.read_text(encoding="utf-8"))
    palette = looks(list(params["models"]))
    plots = {plot.template: plot for plot in read(params) if plot.template in studies.FORMS}
    drawn = {
        name: studies.FORMS[name](plot, plot.rows(palette), palette) for name, plot in plots.items()
    }
    cumulative = drawn["spectrum"][1]
    write(
        [panel(cumulative, {"of": of}, [of], 300) for of in options(cumulative, "of")], 2, "spectra"
    )
    sweeps = drawn["over_m"]
    panels = [
        panel(one, {"head": head}, [one.title, words], 130)
        for head, words in options(sweeps[0], "head").items()
        for one in sweeps
    ]
    write(panels, len(sweeps), "pruning")


def options(figure: Figure, field: str) -> dict[str, str]:
    """The values of a selector, with their words."""
    [found] = [control.options for control in figure.controls if control.field == field]
    return dict(found)


def panel(figure: Figure, chosen: dict[str, str], title: list[str], width: int) -> dict[str, Any]:
    """A figure with its selectors at fixed values, and with the legend that its page has."""
    spec = {key: part for key, part in figure.spec.items() if key not in ("params", "datasets")}
    text = json.dumps(spec | {"width": width, "title": {"text": title, "fontSize": 11}}).replace(
        '"legend": null', '"a": 0'
    )
    for control in figure.controls:
        text = text.replace(control.signal, f"'{chosen.get(control.field, control.value)}'")
    text = text.replace("indexof(hidden, datum.model) < 0", "true")
    found: dict[str, Any] = json.loads(text)
    rows = figure.data.astype(object).where(figure.data.notna(), None).to_dict("records")
    return found | {"data": {"name": f"{ROWS}-{figure.key}", "values": rows}}


def write(panels: list[dict[str, Any]], columns: int, name: str) -> None:
    """Write panels row by row as a PNG."""
    spec = json.dumps({"concat": panels, "columns": columns, "config": WHITE | {"legend": LEGEND}})
    png = Image.open(BytesIO(vl_convert.vegalite_to_png(spec, scale=1.25)))
    png.convert("RGB").quantize(256).save(f"{OUT}-{name}.png", optimize=True)


if __name__ == "__main__":
    main()
