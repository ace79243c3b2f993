"""The figures of `patchlens why`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from patchlens.display.style import STYLE, VARIANT_COLOURS, save
from patchlens.names import ModelName


def spectra(shares: Mapping[ModelName, NDArray[np.float64]], path: Path) -> None:
    """Cumulative share of variance by rank [D], one curve per name, beside equal variances."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5, 3.4), layout="constrained")
        axes = figure.subplots()
        colours = [VARIANT_COLOURS["prune"], VARIANT_COLOURS["keep_top"]]
        for (name, share), colour in zip(shares.items(), colours, strict=False):
            ranks = np.arange(len(share) + 1) / len(share)
            total = np.concatenate([[0], share.cumsum()])
            axes.plot(100 * ranks, 100 * total, color=colour, label=name, linewidth=2)
        axes.plot(
            [0, 100],
            [0, 100],
            color=VARIANT_COLOURS["prune_random"],
            linestyle=":",
            label="equal variances",
        )
        axes.set_xlabel("dimensions, highest variance first (% of the width)")
        axes.set_ylabel("share of the variance (%)")
        axes.set_xlim(0, 100)
        axes.set_ylim(0, 101)
        axes.legend(frameon=False)
        save(figure, path)


def activations(
    images: Sequence[NDArray[np.uint8]],
    maps: NDArray[np.float32],
    names: Sequence[str],
    path: Path,
) -> None:
    """Images beside the maps of single dimensions.

    Args:
        images: RGB [H, W, 3] each.
        maps: values of K dimensions in each image [N, K, h, w].
        names: names of the K dimensions.
        path: of the PNG.
    """
    rows, columns = len(images), 1 + len(names)
    ratio = images[0].shape[0] / images[0].shape[1]
    with mpl.rc_context(STYLE):
        size = (2.3 * columns, 2.3 * ratio * rows + 0.4)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False)
        for r, image in enumerate(images):
            grid[r, 0].imshow(image)
            for k in range(len(names)):
                # One scale per dimension, so that images can be compared.
                low, high = maps[:, k].min(), maps[:, k].max()
                extent = (0, image.shape[1], image.shape[0], 0)
                grid[r, k + 1].imshow(
                    maps[r, k], cmap="cividis", vmin=low, vmax=high, extent=extent
                )
        for axes, name in zip(grid[0], ["image", *names], strict=True):
            axes.set_title(name)
        for axes in grid.ravel():
            axes.set_axis_off()
        save(figure, path)


def sweeps(
    table: pd.DataFrame, heads: Mapping[str, str], best_rival: Mapping[str, str], path: Path
) -> None:
    """Scores over m, one panel per head; `best_rival` is added as a line if it is not zscore.

    Args:
        table: sweep.csv of the model.
        heads: its heads -> their words.
        best_rival: head -> variant.
        path: of the PNG.
    """
    shown_heads = [head for head in heads if head in set(table["head"])]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.9 * len(shown_heads), 3.6), layout="constrained")
        panels = figure.subplots(1, len(shown_heads), squeeze=False)[0]
        for axes, head in zip(panels, shown_heads, strict=True):
            of_head = table[table["head"] == head]
            shown = ["raw", "prune", "keep_top", "prune_random", "zscore"]
            rival = best_rival.get(head)
            for variant in dict.fromkeys([*shown, *([rival] if rival else [])]):
                rows = of_head[of_head["variant"] == variant]
                if not len(rows):
                    continue
                flat = variant in ("raw", "zscore", rival)
                axes.plot(
                    100 * rows["m"],
                    100 * rows["score"],
                    color=VARIANT_COLOURS.get(variant, VARIANT_COLOURS["rival"]),
                    linestyle="--" if flat else "-",
                    marker=None if flat else "o",
                    markersize=3.5,
                    label=variant,
                )
            axes.set_title(heads[head] + " (%)")
            axes.set_xlabel("dimensions dropped or kept, m (% of the width)")
        shown_once = {line.get_label(): line for axes in figure.axes for line in axes.lines}
        figure.legend(handles=list(shown_once.values()), loc="outside lower center", ncols=6)
        save(figure, path)
