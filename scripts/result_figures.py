"""Draw the site's charts of the studies side by side, as PNGs: spectra, and scores over m.

`python scripts/result_figures.py reports/x` writes reports/x-<dataset>-{spectra,pruning}.png
of a reproduced checkout; `make readme` draws those of docs/results-minicity.md.
"""

import json
import sys
from io import BytesIO
from typing import Any

import vl_convert
from PIL import Image

from patchlens import paths
from patchlens.display.palette import looks
from patchlens.settings.validated import loaded
from patchlens.site import studies
from patchlens.site.figure import ROWS, Figure
from patchlens.site.plots import read

CONFIG = {
    "background": "white",
    "font": "Liberation Sans",  # comes with vl-convert
    "view": {"stroke": None},
    "legend": {"symbolSize": 1600, "symbolBaseStrokeColor": "black"},
}


def main(prefix: str) -> None:
    params = loaded(paths.PARAMS, missing="run this in the folder that contains it")
    palette = looks(list(params["models"]))
    for plot in read(params):
        if plot.template not in studies.FORMS:
            continue
        rows = plot.rows(palette)
        figures = studies.FORMS[plot.template](plot, rows, palette)
        for dataset in plot.datasets:
            chosen = {"dataset": dataset}
            if plot.template == "spectrum":
                last = figures[-1]  # cumulative
                panels = [panel(last, chosen | {"of": of}, [of], 300) for of in options(last, "of")]
                write(panels, len(panels), f"{prefix}-{dataset}-spectra.png")
                continue
            panels = [
                panel(one, chosen | {"head": head}, [one.title, words], 130)
                for head, words in options(figures[0], "head").items()
                for one in figures
            ]
            write(panels, len(figures), f"{prefix}-{dataset}-pruning.png")


def options(figure: Figure, field: str) -> dict[str, str]:
    """The values of a selector, with their words; without the selector, what stands for its one."""
    return next((dict(c.options) for c in figure.controls if c.field == field), {"": ""})


def panel(figure: Figure, chosen: dict[str, str], title: list[str], width: int) -> dict[str, Any]:
    """A figure with its selectors at fixed values, and with the legend that its page has."""
    spec = {key: part for key, part in figure.spec.items() if key not in ("params", "datasets")}
    titled = spec | {"width": width, "title": {"text": title, "fontSize": 11}}
    text = json.dumps(titled).replace('"legend": null', '"legend": {}')
    for control in figure.controls:
        text = text.replace(control.signal, f"'{chosen.get(control.field, control.value)}'")
    text = text.replace("indexof(hidden, datum.model) < 0", "true")
    found: dict[str, Any] = json.loads(text)
    rows = figure.data.astype(object).where(figure.data.notna(), None).to_dict("records")
    return found | {"data": {"name": f"{ROWS}-{figure.key}", "values": rows}}


def write(panels: list[dict[str, Any]], columns: int, path: str) -> None:
    """Write panels row by row as a PNG."""
    spec = json.dumps({"concat": panels, "columns": columns, "config": CONFIG})
    png = Image.open(BytesIO(vl_convert.vegalite_to_png(spec, scale=1.25)))
    png.convert("RGB").quantize(256).save(path, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1])
