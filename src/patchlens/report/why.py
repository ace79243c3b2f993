"""`patchlens why`: one page on what the variance of a model's features does to its scores.

It reads the cells of the model and of the untrained ViT beside it; for the heat maps it also opens
features and images.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tabulate import tabulate

from patchlens import paths
from patchlens.datasets.index import Index
from patchlens.errors import DataError
from patchlens.features.store import FeatureFile
from patchlens.files import whole_folder, write_text
from patchlens.report import why_figures
from patchlens.settings.datasets import Dataset

Cell = Mapping[str, Any]
RIVALS = ("l2", "center", "zscore", "pca_drop_top", "pca_whiten")
SHOWN = 3  # images and dimensions of the heat maps
PAGE = "README.md"


def write(name: str, model: str, dataset: Dataset, untrained: str | None) -> Path:
    """Write reports/why/<dataset>-<model>/: README.md and its figures.

    Args:
        name: the dataset.
        model: the model.
        dataset: settings of the dataset.
        untrained: the model that is the floor, or None where there is none.

    Returns:
        The page.

    Raises:
        DataError: a cell or the features are missing.
    """
    cell = paths.cell(name, model)
    variance, sweep = _json(cell / "variance.json"), _json(cell / "sweep.json")
    beside = untrained if untrained != model else None
    floor = paths.cell(name, beside) if beside else None
    curves = {model: _shares(cell)}
    if beside and floor:
        curves[beside] = _shares(floor)
    table = _csv(cell / "sweep.csv")
    rivals = {head: _best_rival(sweep[head]) for head in table["head"].unique()}
    top = _csv(cell / "variance_dimensions.csv").head(5)
    out = Path("reports/why") / f"{name}-{model}"
    with whole_folder(out) as folder:
        why_figures.spectra(curves, folder / "spectrum.png")
        _heat_maps(name, model, dataset, top, folder / "dimensions.png")
        chosen = {head: rival for head, rival in rivals.items() if rival}
        why_figures.sweeps(table, chosen, folder / "sweep.png")
        other = _json(floor / "variance.json") if floor else None
        swept = _json(floor / "sweep.json") if floor else None
        parts = [
            f"# {model} on {name}: what the variance of its features does",
            *_spectrum(model, variance, beside, other),
            *_encoded(variance, top),
            *_removed(sweep, rivals, beside, swept),
        ]
        write_text("\n\n".join(parts) + "\n", folder / PAGE)
    return out / PAGE


def _spectrum(model: str, own: Cell, floor: str | None, other: Cell | None) -> list[str]:
    def sentence(name: str, cell: Cell) -> str:
        width = cell["protocol"]["width"]
        return (
            f"`{name}`: the top {-(-width // 100)} of {width} dimensions hold "
            f"{100 * cell['top_1pct']:.1f} % of the variance, the top {-(-width // 10)} hold "
            f"{100 * cell['top_10pct']:.1f} %; participation ratio {cell['participation']:.1f} "
            f"over dimensions, {cell['pca_participation']:.1f} over principal components."
        )

    about = own["protocol"]
    lines = [sentence(model, own)]
    lines += [sentence(floor, other)] if floor and other else []
    return [
        "## Its spectrum",
        "\n".join(f"- {line}" for line in lines),
        "![Cumulative share of the variance by rank](spectrum.png)",
        f"{about['patches']} patches of {about['images']} images, layer {about['layer']} "
        f"(0-based), final norm {about['norm']}.",
    ]


def _encoded(own: Cell, top: pd.DataFrame) -> list[str]:
    columns = {
        "dimension": "dimension",
        "share": "share of variance",
        "kurtosis": "kurtosis",
        "r_row": "r row",
        "r_column": "r column",
        "r_brightness": "r brightness",
        "r_edges": "r edges",
    }
    shown = top[list(columns)].rename(columns=columns)
    cues = ("row", "column", "brightness", "edges")
    strongest = max(cues, key=lambda cue: own[f"{cue}_top"])
    return [
        "## What its top dimensions encode",
        f"Of what a patch shows before any model, they follow {strongest} most: mean |r| "
        f"{own[f'{strongest}_top']:.2f}, against {own[f'{strongest}_rest']:.2f} of all other "
        "dimensions.",
        tabulate(shown.to_numpy(dtype=object).tolist(), list(columns.values()), tablefmt="github"),
        "![Images beside the values of the top dimensions](dimensions.png)",
    ]


def _removed(
    sweep: Cell, rivals: Mapping[str, str | None], floor: str | None, other: Cell | None
) -> list[str]:
    about = sweep["protocol"]
    rows = []
    for head, rival in rivals.items():
        cell = sweep[head]
        entries = [
            ("raw", cell["raw"]),
            (f"prune, best m ({cell['prune']['oracle_m']:.3g})", cell["prune"]),
        ]
        if "auto" in cell:
            entries.append(
                (f"prune, m chosen on the support ({cell['auto']['m']:.3g})", cell["auto"])
            )
        control = cell["prune_random"]
        entries.append((f"prune_random, best m ({control['oracle_m']:.3g})", control))
        if rival:
            entries.append((f"best rival: {rival}", cell[rival]))
        if floor and other and head in other:
            entries.append((f"`{floor}` raw", other[head]["raw"]))
        rows += [
            (
                why_figures.HEADS[head],
                what,
                _percent(score),
                f"{100 * (score['score'] - cell['raw']['score']):+.1f}",
            )
            for what, score in entries
        ]
    return [
        "## What removing them does",
        tabulate(
            rows,
            ["score (%)", "variant", "value", "against raw"],
            tablefmt="github",
            disable_numparse=True,
        ),
        "![Scores over the number of dimensions dropped or kept](sweep.png)",
        f"k = {about['k']}, {about['distance']}, {about['shots']} support images, {about['seeds']} "
        f"seeds (± is over them), {about['query_images']} query images; retrieval: "
        f'{about["retrieval_queries"]} queries. "Best m" is the best on the query, which no user '
        "can know; the m chosen on the support is what one can have.",
    ]


def _percent(score: Mapping[str, float]) -> str:
    spread = f" ± {100 * score['score_std']:.1f}" if score["score_std"] else ""
    return f"{100 * score['score']:.1f}{spread}"


def _best_rival(head: Cell) -> str | None:
    scores = {name: head[name]["score"] for name in RIVALS if name in head}
    return max(scores, key=lambda name: scores[name]) if scores else None


def _heat_maps(name: str, model: str, dataset: Dataset, top: pd.DataFrame, path: Path) -> None:
    file = FeatureFile(paths.features(name, model) / "query.safetensors")
    index = Index(paths.index(name), paths.images(name, dataset))
    ids = file.header.image_ids[:: max(1, len(file.header.image_ids) // SHOWN)][:SHOWN]
    dimensions = top["dimension"].tolist()[:SHOWN]
    features = file.images(ids, file.header.layers[0])[..., dimensions]
    why_figures.activations(
        [np.asarray(index.image(i)) for i in ids],
        features.transpose(0, 3, 1, 2),
        [f"dimension {d}" for d in dimensions],
        path,
    )


def _shares(cell: Path) -> Any:
    return _csv(cell / "variance_dimensions.csv")["share"].to_numpy(dtype=np.float64)


def _json(path: Path) -> Any:
    return json.loads(_there(path).read_text(encoding="utf-8"))


def _csv(path: Path) -> pd.DataFrame:
    return pd.read_csv(_there(path))


def _there(path: Path) -> Path:
    if not path.is_file():
        raise DataError(
            f"{path}: missing; `patchlens why` tells of what `dvc repro` measured: run it with the "
            "dataset in segmentation.datasets and sweep.datasets"
        )
    return path
