"""Settings that are right alone and wrong together."""

from collections.abc import Callable
from typing import Any

import pytest

Complaints = Callable[[dict[str, Any]], list[str]]
LISTS = ["segmentation.datasets", "fetch.made", "fetch.downloaded", "fetch.placed"]
TILE = "'tile' (pixels) is required with mode: tiles and only allowed there"
PATCHES = "'patches: [rows, columns]' is required with grid: equal and only allowed there"
PIXELS = "'pixels: [height, width]' is required with grid: paper and only allowed there"


@pytest.mark.parametrize(
    ("view", "message"),
    [
        ({"mode": "tiles", "grid": "equal", "patches": [1, 1]}, TILE),
        ({"mode": "whole", "grid": "equal", "patches": [1, 1], "tile": 256}, TILE),
        ({"mode": "whole", "grid": "equal"}, PATCHES),
        ({"mode": "whole", "grid": "paper", "pixels": [8, 8], "patches": [1, 1]}, PATCHES),
        ({"mode": "whole", "grid": "paper"}, PIXELS),
        ({"mode": "whole", "grid": "equal", "pixels": [8, 8], "patches": [1, 1]}, PIXELS),
    ],
)
def test_a_view_holds_what_its_mode_and_grid_need(
    complaints: Complaints, view: dict[str, Any], message: str
) -> None:
    assert complaints({"datasets.minicity.view": view}) == [f"datasets.minicity.view: {message}"]


@pytest.mark.parametrize("distance", ["dot", "l2"])
def test_softmax_votes_need_cosine(complaints: Complaints, distance: str) -> None:
    changes = {"segmentation.knn.vote": "softmax", "segmentation.knn.distance": distance}
    assert complaints(changes) == [
        "segmentation.knn: vote: softmax is defined for distance: cosine only"
    ]


def test_segmentation_needs_the_raw_features(complaints: Complaints) -> None:
    assert complaints({"segmentation.variants": ["prune"]}) == [
        "segmentation: 'variants' must contain 'raw', the reference of all others"
    ]


@pytest.mark.parametrize(
    ("place", "values", "message"),
    [
        ("segmentation.linear.c", [1.0, 0.1], "0.1 stands after 1.0"),
        ("prune.choices", [0.5, 0.2, 0.3], "0.2 stands after 0.5"),
        ("tracking.deltas", [5, 1], "1 stands after 5"),
        ("tracking.thresholds", [0.5, -0.5], "-0.5 stands after 0.5"),
    ],
)
def test_lists_that_ascend(
    complaints: Complaints, place: str, values: list[Any], message: str
) -> None:
    assert complaints({place: values}) == [
        f"{place}: {message}; sort the values in ascending order"
    ]


@pytest.mark.parametrize(
    ("place", "values", "repeat"),
    [
        ("segmentation.datasets", ["minicity", "streets", "minicity"], "minicity"),
        ("segmentation.variants", ["raw", "raw"], "raw"),
        ("segmentation.heads", ["knn", "knn"], "knn"),
        ("segmentation.k_sweep", [1, 3, 1], "1"),
        ("segmentation.shots_sweep", [2, 2], "2"),
        ("segmentation.linear.c", [1.0, 1.0], "1.0"),
        ("fetch.made", ["minicity", "minicity"], "minicity"),
        ("fetch.downloaded", ["scenes", "scenes"], "scenes"),
        ("fetch.placed", ["streets", "own", "own"], "own"),
        ("extract.datasets", ["minicity", "streets", "minicity"], "minicity"),
        ("features.layer_sweep", [-3, -3], "-3"),
        ("datasets.minicity.support.seeds", [1, 1], "1"),
        ("prune.choices", [0.5, 0.5], "0.5"),
        ("sweep.heads", ["knn", "knn"], "knn"),
        ("sweep.rivals", ["l2", "l2"], "l2"),
        ("identification.granularities", [1, 2, 1], "1"),
        ("identification.degradations.blur", [1, 1.0], "1.0"),
        ("retrieval.relevant", ["instance", "instance"], "instance"),
        ("tracking.deltas", [1, 1], "1"),
        ("tracking.thresholds", [0.5, 0.5], "0.5"),
    ],
)
def test_nothing_is_run_twice(
    complaints: Complaints, place: str, values: list[Any], repeat: str
) -> None:
    assert complaints({place: values}) == [f"{place}: '{repeat}' is listed twice; remove one"]


@pytest.mark.parametrize(
    "place", ["segmentation.datasets", "fetch.made", "fetch.downloaded", "fetch.placed"]
)
def test_lists_name_configured_datasets(complaints: Complaints, valid: Any, place: str) -> None:
    section, key = place.split(".")
    names = [*valid[section][key], "minicty"]
    assert complaints({place: names}) == [
        f"{place}[{len(names) - 1}]: unknown dataset 'minicty'; "
        "allowed: minicity, own, scenes, streets; did you mean 'minicity'?"
    ]


@pytest.mark.parametrize(
    ("name", "right", "why"),
    [
        ("minicity", "made", "the pipeline renders it"),
        ("scenes", "downloaded", "it has no root"),
        ("own", "placed", "it has a root"),
    ],
)
def test_a_dataset_is_in_the_list_that_its_settings_ask_for(
    complaints: Complaints, valid: Any, name: str, right: str, why: str
) -> None:
    missing = f"fetch.{right}: must list '{name}': {why}"
    rest = [n for n in valid["fetch"][right] if n != name]
    assert complaints({f"fetch.{right}": rest}) == [missing]
    for wrong in {"made", "downloaded", "placed"} - {right}:
        surplus = f"fetch.{wrong}: must not list '{name}': {why} and so belongs in fetch.{right}"
        both = [*valid["fetch"][wrong], name]
        assert complaints({f"fetch.{wrong}": both}) == [surplus]
        assert complaints({f"fetch.{right}": rest, f"fetch.{wrong}": both}) == [missing, surplus]


def test_a_dataset_is_placed_or_unpacked(complaints: Complaints) -> None:
    assert complaints({"datasets.streets.archives": "downloads"}) == [
        "datasets.streets: 'root' (unpacked) and 'archives' (to be unpacked): remove one"
    ]


def test_a_folder_of_ones_own_has_a_root(complaints: Complaints, gone: object) -> None:
    assert complaints({"datasets.own.root": gone}) == [
        "datasets.own: 'root' is missing: kind: folder needs the path of your folder"
    ]


def test_a_support_without_a_query_is_for_nothing(complaints: Complaints) -> None:
    assert complaints({"datasets.own.query": None}) == [
        "datasets.own: 'support' needs a 'query', because nothing else is scored"
    ]


def test_what_is_extracted_has_a_query(complaints: Complaints) -> None:
    assert complaints({"extract.datasets": ["minicity", "streets", "scenes"]}) == [
        "extract.datasets[2]: datasets.scenes.query is null, so nothing would be scored; "
        "give a query"
    ]


@pytest.mark.parametrize(
    "task", ["segmentation", "identification", "retrieval", "tracking", "sweep"]
)
def test_tasks_need_the_features_of_their_datasets(complaints: Complaints, task: str) -> None:
    lines = complaints({f"{task}.datasets": ["own"]})
    assert (
        f"{task}.datasets[0]: 'own' is not in extract.datasets, so it would have no features; "
        "add it there"
    ) in lines


def test_all_support_images_are_one_draw_and_segmentation_needs_more(
    complaints: Complaints,
) -> None:
    whole = {"split": "a", "images": "all", "per": "total", "seeds": [0, 1]}
    assert complaints({"datasets.own.support": whole}) == [
        "datasets.own.support: images: all needs per: total and a single seed: it is the same draw"
    ]
    assert complaints({"datasets.streets.support": whole | {"seeds": [0]}}) == [
        "datasets.streets.support.seeds: segmentation needs at least two, for ± over seeds"
    ]


def test_minicity_has_stills_or_videos(complaints: Complaints) -> None:
    assert complaints({"datasets.minicity.stills": 0, "datasets.minicity.videos": 0}) == [
        "datasets.minicity: 'stills' and 'videos' must not both be 0: nothing would be rendered"
    ]


def test_t2_is_about_patches_and_some_degradation(complaints: Complaints) -> None:
    assert complaints({"identification.granularities": [2]}) == [
        "identification: 'granularities' must contain 1, the single patches"
    ]
    assert complaints({"identification.degradations": {}}) == [
        "identification.degradations: give at least one degradation with its severities"
    ]


def test_segmentation_needs_support_and_query(complaints: Complaints) -> None:
    changes = {"segmentation.datasets": ["minicity", "scenes"]}
    changes["extract.datasets"] = ["minicity", "scenes"]
    assert complaints(changes) == [
        "extract.datasets[1]: datasets.scenes.query is null, so nothing would be scored; "
        "give a query",
        "datasets.scenes: is in segmentation.datasets, so it needs 'support' and 'query'",
    ]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"prune.select": "auto", "segmentation.shots": 1, "selection.datasets": []},
            "prune.select: auto needs at least 2 support images to hold out in turn; increase "
            "segmentation.shots or set prune.select: fixed",
        ),
        (
            {"segmentation.k": 5000, "segmentation.k_sweep": [], "segmentation.shots_sweep": []},
            "segmentation.k: 5000 exceeds the 4096 patches of 8 support images; reduce it, or "
            "enlarge datasets.minicity.view.patches",
        ),
        (
            {"segmentation.k_sweep": [1, 5000]},
            "segmentation.k_sweep[1]: 5000 exceeds the 4096 patches of 8 support images; reduce "
            "it, or enlarge datasets.minicity.view.patches",
        ),
        (
            {"identification.datasets": ["minicity"], "identification.granularities": [1, 17]},
            "identification.granularities: 17 exceeds the grid of 16×32 patches; remove it, or "
            "enlarge datasets.minicity.view.patches",
        ),
        (
            {"sweep.heads": ["retrieval"], "sweep.datasets": ["streets"]},
            "sweep.heads: 'retrieval' needs recurring objects, which 'streets' in sweep.datasets "
            "does not have; remove one of the two",
        ),
        (
            {"datasets.own.query.split": "a"},
            "datasets.own.query.split: 'a' with images: all contains the images of support.split "
            "'a'; support and query must not share images",
        ),
        (
            {"datasets.own.query.split": "b+a"},
            "datasets.own.query.split: 'b+a' with images: all contains the images of support.split "
            "'a'; support and query must not share images",
        ),
    ],
)
def test_what_a_stage_would_refuse_is_refused_at_once(
    complaints: Complaints, changes: dict[str, Any], line: str
) -> None:
    assert complaints(changes) == [line]


def test_segmentation_needs_class_masks(complaints: Complaints) -> None:
    changes = {"segmentation.datasets": ["scenes"], "datasets.scenes.kind": "mot17"}
    changes |= {"sweep.datasets": [], "selection.datasets": [], "extract.datasets": ["scenes"]}
    assert complaints(changes) == [
        "segmentation.datasets[0]: 'scenes' has no class masks (kind mot17); kinds with them: "
        "ade20k, bdd100k_seg, camvid, cityscapes, cityscapes_ids, folder, minicity, voc2012",
        "extract.datasets[0]: datasets.scenes.query is null, so nothing would be scored; "
        "give a query",
        "datasets.scenes: is in segmentation.datasets, so it needs 'support' and 'query'",
    ]


def test_shots_need_as_many_support_images(complaints: Complaints) -> None:
    # `own` has 4 and is not evaluated, so only the evaluated two are named.
    rest = "that segmentation.shots and shots_sweep require"
    for changes in ({"segmentation.shots": 9}, {"segmentation.shots_sweep": [1, 9]}):
        assert complaints(changes) == [
            f"datasets.minicity.support.images: 8 is less than the 9 {rest}",
            f"datasets.streets.support.images: 8 is less than the 9 {rest}",
        ]


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({"prune.choices": []}, ["prune.choices: 0 entries; allowed: at least 1"]),
        (
            {"prune.choices": [0.0, 0.5]},
            ["prune.choices[0]: 0.0 is out of range; allowed: 0.0001 to 0.9999"],
        ),
        (
            {"prune.select": "Auto"},
            ["prune.select: 'Auto' is unknown; allowed: auto, fixed; did you mean 'auto'?"],
        ),
        (
            {"sweep.rivals": ["prune"]},
            ["sweep.rivals[0]: 'prune' is unknown; allowed: center, l2, pca_drop_top, pca_whiten"],
        ),
        (
            {"sweep.heads": ["linear"], "sweep.rivals": ["zscore"]},
            [
                "sweep.heads: 'linear' needs 'zscore' in segmentation.variants, where its C is "
                "chosen; add it there"
            ],
        ),
        (
            {"sweep.heads": ["linear"], "sweep.rivals": [], "segmentation.heads": ["knn"]},
            ["sweep.heads: 'linear' needs 'linear' in segmentation.heads, which chooses its C"],
        ),
        (
            {"sweep.datasets": ["own"], "extract.datasets": ["minicity", "streets", "own"]},
            [
                "sweep.datasets[0]: 'own' is not in segmentation.datasets, whose support sets "
                "and masks the sweep needs; add it there"
            ],
        ),
        (
            {"uncertainty.claim_resamples": 1000},
            ["uncertainty.claim_resamples: 1000 is out of range; allowed: 10000 to 1000000"],
        ),
    ],
)
def test_the_sweep_and_the_verdicts_say_what_is_wrong(
    complaints: Complaints, changes: dict[str, Any], lines: list[str]
) -> None:
    found = complaints(changes)
    assert len(found) == len(lines)
    assert all(line.startswith(expected) for line, expected in zip(found, lines, strict=True))
