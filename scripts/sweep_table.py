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
    spectra = {
        model.name: json.loads((model / "variance.json").read_text())
        for model in sorted(cell.parent.iterdir())
        if (model / "variance.json").is_file()
    }
    keys = ["top1", "top5", "top_1pct", "top_10pct", "participation"]
    print("Shares of the variance in the top dimensions, and the participation ratio:\n")
    print(pd.DataFrame(spectra).T[keys].round(3).to_markdown())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
