"""T3 of a cell: each object of the query images is a query for its instance or class."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from patchlens.arrays import Array, Ints
from patchlens.datasets.index import Index
from patchlens.errors import SettingsError
from patchlens.features.cell import Cell
from patchlens.features.device import Where, resolve
from patchlens.features.store import Header
from patchlens.names import DatasetName
from patchlens.progress import log, track
from patchlens.protocol import DIGITS
from patchlens.tasks.annotated import listed, one_object_per_image
from patchlens.tasks.objects import Objects, object_features
from patchlens.tasks.resample import SharedResampler, scored
from patchlens.tasks.result import Result
from patchlens.tasks.retrieval import summary
from patchlens.tasks.retrieval.metrics import weighted
from patchlens.tasks.retrieval.revisited import GRADES, LEVELS, Benchmark, answer
from patchlens.tasks.retrieval.search import Answers, retrieve, sampled
from patchlens.tasks.retrieval.settings import Retrieval

Ask = Callable[[Array], Iterator[tuple[str, Answers]]]


def run(cell: Cell) -> Result:
    """Score every head, with a curve over the size of the query.

    Datasets that grade pairs of images (ROxford5k, RParis6k, INSTRE) have the heads of their
    grades; all others have those of `retrieval.relevant`. A head without a query is omitted.

    Raises:
        SettingsError: the query images have no objects, no object has a relevant one, or a graded
            image is not among the query images.
    """
    retrieval = cell.settings.section(Retrieval)
    resampler = SharedResampler.of(cell.settings.uncertainty)
    header, fitted, where = cell.query.header, cell.fit(), resolve(cell.settings.device)
    ask: Ask
    if cell.index.has_relevance:
        objects, asked = graded(cell.index, header)
        about: dict[str, Any] = {"unit": "query", "gallery": len(asked.gallery), "left_out": "junk"}
        ask = partial(answer, asked=asked, distance=retrieval.distance, device=where)
    else:
        objects, about = listed(cell.index, header, "retrieval.datasets")
        about["left_out"] = _left_out(retrieval.frame_distance)
        asking = sampled(objects, retrieval.queries, cell.settings.uncertainty.seed)
        if len(asking) < len(objects):
            about["asking"] = len(asking)
        ask = partial(_ask, objects, retrieval, where, asking)
    name, unit = units(objects)
    about = {"unit": name} | about | _asked(ask, unit, cell.dataset)
    ids = header.image_ids
    features = object_features(objects, len(ids), cell.read_query(ids), fitted.transforms)
    tables = []
    variants = list(fitted.transforms)
    for variant in track(variants, total=len(variants), what=str(cell), unit="variant"):
        for draw, of_draw in enumerate(features.pop(variant)):
            for head, answers in ask(of_draw):
                tables.append(summary.records(head, variant, draw, unit, objects, answers))
    records = summary.all_records(tables)
    metrics = scored(partial(weighted, index=cell.index), records, resampler)
    log.info("%s: heads %s", cell, ", ".join(metrics))
    protocol = fitted.protocol() | about | {"distance": retrieval.distance}
    sizes = summary.by_size(records, variants, resampler)
    return Result(metrics, protocol, {"size": sizes}, records)


def units(objects: Objects) -> tuple[str, Ints]:
    """What the bootstrap resamples, and the unit of each object.

    All queries of an instance stay together. Where no instance recurs (FAIR1M), those of an image
    do: they share its light and its place, so that they tell less than as many single ones.
    """
    alone = len(np.unique(objects.instance)) == len(objects)
    return ("image", objects.sequence) if alone else ("instance", objects.instance)


def _asked(ask: Ask, unit: Ints, dataset: DatasetName) -> dict[str, Any]:
    """Queries and units of each head that has any, and the chance score of constant features."""
    about: dict[str, Any] = {}
    for head, answers in ask(np.zeros((len(unit), 0), dtype=np.float32)):
        if not len(answers.query):
            continue
        about[f"queries_{head}"] = len(answers.query)
        about[f"units_{head}"] = len(np.unique(unit[answers.query]))
        if head not in LEVELS:  # in which the order of the gallery breaks ties
            about[f"chance_map_{head}"] = round(float(answers.ap.mean()), DIGITS)
            about[f"chance_r1_{head}"] = round(float(answers.hits[:, 0].mean()), DIGITS)
    if not about:
        raise SettingsError(
            f"params.yaml: retrieval.datasets: no object of '{dataset}' has a relevant object in "
            "an image of another sequence; score more query images, or set "
            "retrieval.frame_distance"
        )
    return about


def _ask(
    objects: Objects, settings: Retrieval, device: Where, asking: Ints, features: Array
) -> Iterator[tuple[str, Answers]]:
    for relevant in settings.relevant:
        found = retrieve(
            features,
            objects,
            relevant=relevant,
            frame_distance=settings.frame_distance,
            distance=settings.distance,
            device=device,
            asking=asking,
        )
        yield relevant, found


def _left_out(frame_distance: int | None) -> str:
    if frame_distance is None:
        return "own image and sequence"
    return f"own image and frames of the own sequence nearer than {frame_distance}"


def graded(index: Index, header: Header) -> tuple[Objects, Benchmark]:
    """Queries, which are the boxes in their images, and the gallery, which is whole images.

    Raises:
        SettingsError: a graded image is not among the query images.
    """
    ids, relevance = header.image_ids, index.relevance
    row = {image_id: i for i, image_id in enumerate(ids)}
    named = pd.concat([relevance["query_id"], relevance["image_id"]]).unique()
    if missing := [image_id for image_id in named if image_id not in row]:
        raise SettingsError(
            f"params.yaml: datasets.{header.dataset}.query: image '{missing[0]}' is graded, but "
            "not among the query images; set split: query+gallery and images: all"
        )
    query = np.array(sorted(row[i] for i in relevance["query_id"].unique()), dtype=np.int64)
    gallery = np.setdiff1d(np.arange(len(ids)), query)
    grade = np.zeros((len(query), len(ids)), dtype=np.int8)
    which = np.searchsorted(query, relevance["query_id"].map(row))
    grade[which, relevance["image_id"].map(row)] = relevance["grade"].map(GRADES.index)
    objects = one_object_per_image(index, ids, header.grid)
    # Each query is a separate unit.
    return replace(objects, instance=np.arange(len(ids))), Benchmark(
        query, gallery, grade[:, gallery]
    )
