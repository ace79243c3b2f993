"""Print the sweeps of `raw` and the spectra of a cell's dataset as Markdown."""

import json
import sys
from pathlib import Path

import pandas as pd


def main(cell: Path) -> None:
    for axis in ("k", "layer", "shots"):
        table = pd.read_csv(cell / f"segmentation_{axis}.csv")
        table = table[table["variant"] == "raw"]
        wide = (100 * table.pivot(index=axis, columns="head", values="pixel_miou")).round(1)
        print(f"Pixel mIoU (%) of `raw` by {axis}, {cell.name}:\n")
        print(wide.to_markdown() + "\n")
    keys = ["top1", "top5", "top_1pct", "top_10pct", "participation"]
    files = {path.parent.name: path for path in sorted(cell.parent.glob("*/variance.json"))}
    cells = {model: json.loads(path.read_text()) for model, path in files.items()}
    spectra = {model: {key: found[key] for key in keys} for model, found in cells.items()}
    print("Share of the variance in the top dimensions, and participation ratio:\n")
    print(pd.DataFrame(spectra).T.round(3).to_markdown())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
