"""`patchlens show retrieval`: queries with their ten nearest, right and wrong."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from patchlens import paths
from patchlens.datasets.index import Index
from patchlens.errors import SettingsError
from patchlens.features.store import FeatureFile
from patchlens.files import whole_file
from patchlens.report.framed import Place
from patchlens.report.show_retrieval import Ranked, sheet
from patchlens.settings.datasets import Dataset
from patchlens.settings.retrieval import Relevant, Retrieval
from patchlens.stages.objects import listed
from patchlens.stages.retrieval import graded
from patchlens.tasks.objects import Objects, object_features
from patchlens.tasks.retrieval import pairs, similarities
from patchlens.tasks.revisited import right_and_junk

Array = NDArray[np.float32]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
QUERIES = 6
NEAREST = 10
SEED = 0
LARGE = 4  # patches: what is smaller is hard to make out


def run(name: str, model: str, dataset: Dataset, settings: Retrieval, path: Path) -> None:
    """Draw the sheet of a few queries, with raw features, to the PNG `path`.

    Queries are drawn by a seed, one an instance, among those of at least 4 patches, or among all
    where there are too few; they look for what comes first in `settings.relevant` and can be found.

    Raises:
        SettingsError: no query has a relevant object.
    """
    index = Index(paths.index(name), paths.images(name, dataset))
    file = FeatureFile(paths.features(name, model) / "query.safetensors")
    ids, layer = file.header.image_ids, file.header.layers[0]
    if index.has_relevance:
        objects, asked = graded(index, file.header, name)
        head = "medium" if "medium" in asked.heads else asked.heads[0]
        right, junk = right_and_junk(asked.grade, head)
        rows = np.random.default_rng(SEED).permutation(np.flatnonzero(right.any(axis=1)))[:QUERIES]
        queries, gallery, right, on_list = (
            asked.query[rows],
            asked.gallery,
            right[rows],
            ~junk[rows],
        )
    else:
        objects, _ = listed(index, file.header, "retrieval.datasets")
        gallery = np.arange(len(objects))
        relevant, queries = askers(objects, settings)
        head = relevant
        on_list, right = pairs(objects, queries, relevant, settings.frame_distance)
    if not len(queries):
        raise SettingsError(f"params.yaml: retrieval: no query of '{name}' has a relevant object")
    features = object_features(
        objects,
        len(ids),
        lambda rows: file.images(ids[rows.start : rows.stop], layer),
        {"raw": [lambda x: x]},
    )["raw"][0]
    [(_, similarity)] = similarities(features[queries], features[gallery], settings.distance)
    ranked = []
    for q, query in enumerate(queries):
        found = nearest(similarity[q], on_list[q])
        answers = [(_place(index, ids, objects, gallery[g]), bool(right[q, g])) for g in found]
        ranked.append(Ranked(_place(index, ids, objects, query), answers))
    title = f"{model} on {name}, raw features: {len(queries)} queries, looking for {head}"
    with whole_file(path) as partial:
        sheet(title, ranked, partial)


def nearest(similarity: Array, on_list: Bools) -> Ints:
    """The ten most similar of what is on the list, the nearest first."""
    listed = np.flatnonzero(on_list)
    return np.asarray(listed[np.argsort(-similarity[listed], kind="stable")[:NEAREST]])


def askers(objects: Objects, settings: Retrieval) -> tuple[Relevant, Ints]:
    """What is looked for, and the queries: the first of `relevant` that anything finds."""
    for relevant in settings.relevant:
        found: list[int] = []
        for query in _order(objects):
            if objects.instance[query] in objects.instance[found]:
                continue
            asked = np.array([query])
            if pairs(objects, asked, relevant, settings.frame_distance)[1].any():
                found.append(query)
            if len(found) == QUERIES:
                break
        if found:
            break
    return relevant, np.array(found, dtype=np.int64)


def _order(objects: Objects) -> list[int]:
    """All objects in a drawn order, those of at least 4 patches first."""
    drawn = np.random.default_rng(SEED).permutation(len(objects))
    small = objects.size[drawn] < LARGE
    return [int(o) for o in drawn[np.argsort(small, kind="stable")]]


def _place(index: Index, ids: Sequence[str], objects: Objects, o: int) -> Place:
    x0, y0, x1, y1 = (float(value) for value in objects.box[o])
    return Place(index.image(ids[objects.row[o]]), (x0, y0, x1, y1))
