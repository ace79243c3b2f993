"""The tables of T2, T3 and T4: what they show, what is bold, what their captions say."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from configured import configured
from patchlens import paths
from patchlens.datasets.index import Index
from patchlens.display import grid
from patchlens.errors import DataError
from patchlens.files import write_json, write_parquet
from patchlens.report import tables
from patchlens.settings.models import TimmModel
from patchlens.settings.uncertainty import Uncertainty
from patchlens.tasks.metric import headline
from patchlens.tasks.resample import SharedResampler, scored
from patchlens.tasks.table import TASKS
from patchlens.tasks.tracking import summary as tracking_summary
from patchlens.tasks.tracking.association import COUNTS

RETRIEVAL, TRACKING = TASKS["retrieval"], TASKS["tracking"]
UNCERTAINTY = Uncertainty(resamples=200, claim_resamples=10_000, seed=0)
PROTOCOL = {
    "protocol_version": 3,
    "split_fit": "video_train",
    "split_query": "quiet_street",
    "query_images": 64,
    "view": "whole images at 128×256",
    "grid": "16×32",
    "grid_rule": "equal",
    "layer": 7,
    "norm": "True",
    "dtype": "float16",
    "fit": "support",
    "prune_m": 0.26,
    "prune_m_used": 50,
    "random_draws": 3,
    "torch": "9.9.9",
    "timm": "8.8.8",
    "numpy": "7.7.7",
    "distance": "cosine",
}
COST = {
    "parameters_m": 3.61,
    "gflops_per_image": 1.234,
}


@pytest.fixture(autouse=True)
def index(here: Path) -> Index:
    """The index of dataset d, whose images these tasks need not know."""
    about = {"reader": "folder", "classes": [], "palette": [], "labels": {}}
    write_json(about, paths.index("d") / "dataset.json")
    return Index(paths.index("d"), here)


def retrieval_cell(model: str, **aps: np.ndarray) -> None:
    """A cell of head `instance`: a query an instance, its average precision by variant."""
    folder = paths.cell(dataset="d", model=model)
    units = len(next(iter(aps.values())))
    about = {
        "gallery": 40,
        "unit": "instance",
        "left_out": "own image and sequence",
        "queries_instance": units,
    }
    about |= {"units_instance": units, "chance_map_instance": 0.0123}
    of_variant = {
        variant: {"map": round(float(ap.mean()), 4), "map_ci_low": 0.1, "map_ci_high": 0.9, "r1": 0}
        for variant, ap in aps.items()
    }
    write_json({"protocol": PROTOCOL | about, "instance": of_variant}, folder / "retrieval.json")
    write_json(COST, folder / "extract.json")
    hits = dict.fromkeys(["hit1", "hit5", "hit10"], 0.0)
    records = [
        {"head": "instance", "variant": variant, "draw": 0, "unit": u, "query": u, "size": "<1"}
        | {"ap": value} | hits
        for variant, ap in aps.items() for u, value in enumerate(ap)
    ]  # fmt: skip
    write_parquet(pd.DataFrame(records), folder / "retrieval.records.parquet")


def write(task: str, models: list[str], datasets=("d",), variants=("raw", "prune")) -> pd.DataFrame:
    rival = TimmModel(source="timm", tag="any")
    asked = configured(
        models=dict.fromkeys(models, rival),
        runs={task: datasets},
        variants=variants,
        uncertainty=UNCERTAINTY,
    )
    tables.run(asked)
    return pd.read_csv(paths.TABLES / f"{task}.csv")


def text(task: str, end: str = "md") -> str:
    return (paths.TABLES / f"{task}.{end}").read_text()


def line(shown: str, start: str) -> list[str]:
    rows = [[c.strip() for c in row.strip("|").split("|")] for row in shown.splitlines()]
    return next(row for row in rows if row[0] == start)


def test_bold_is_the_best_and_what_is_level_with_it_query_by_query():
    rng = np.random.default_rng(0)
    base = rng.uniform(0.2, 0.8, 60)
    # A small but steady loss is no tie; a small one that comes and goes is.
    retrieval_cell("dino", raw=base, prune=base - 0.01)
    noise = rng.normal(0, 0.1, 60)
    retrieval_cell("mae", raw=base + noise - noise.mean() - 0.005, prune=base - 0.1)
    table = write("retrieval", ["dino", "mae"])
    marks = table.set_index(["model", "variant"])["map_level_with_best"]
    assert marks.to_dict() == {
        ("dino", "raw"): True,
        ("dino", "prune"): False,
        ("mae", "raw"): True,
        ("mae", "prune"): False,
    }
    dino = line(text("retrieval"), "dino")
    assert dino[1] == f"**{100 * table['map'][0]:.1f} [10.0, 90.0]**"
    assert not dino[2].startswith("**")
    assert dino[3:] == ["3.61", "1.234"]
    assert r"\textbf{" in text("retrieval", "tex")


def test_rows_carry_protocol_and_cost():
    retrieval_cell("dino", raw=np.full(20, 0.5), prune=np.full(20, 0.4))
    table = write("retrieval", ["dino"])
    assert set(PROTOCOL) | set(COST) <= set(table)
    assert table["head"].tolist() == ["instance"] * 2


def test_the_caption_carries_protocol_counts_and_chance():
    retrieval_cell("dino", raw=np.full(20, 0.5), prune=np.full(20, 0.4))
    shown = RETRIEVAL.words.caption(write("retrieval", ["dino"]))
    for words in (
        "Protocol 3. 64 images of quiet_street.",
        "Gallery: 40 objects, ranked by cosine; excluded: own image and sequence.",
        "the same instance: 20 queries of 20 instances, chance 1.2 %.",
        "grid 16×32 (equal), layer 7 (0-based)",
        "fitted on the support images",
        "m = 0.26 of the width",
        "bootstrap interval over instances",
        "torch 9.9.9, timm 8.8.8, numpy 7.7.7",
    ):
        assert words in shown
    assert "Fewer than" not in shown


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ([336.0, 336.0], "336"),  # of floats, as a column is that other heads leave empty
        ([336.0, np.nan], "336/nan"),
        ([336, 72], "336/72"),
        ([0.26, 1.0], "0.26/1"),
        ([1234567.0], "1234567"),
        (["16×32", "16×32"], "16×32"),
        ([True], "True"),
    ],
)
def test_whole_numbers_in_captions_have_no_decimals(column, text):
    assert grid.values(pd.DataFrame({"key": column}), "key") == text


def test_the_counts_of_a_caption_are_whole_numbers():
    retrieval_cell("dino", raw=np.full(20, 0.5), prune=np.full(20, 0.4))
    table = write("retrieval", ["dino"])
    counts = ["queries_instance", "units_instance", "gallery", "query_images", "random_draws"]
    shown = RETRIEVAL.words.caption(table.astype(dict.fromkeys(counts, float)))
    assert shown == RETRIEVAL.words.caption(table)
    assert "20 queries of 20 instances" in shown


def test_with_few_units_the_caption_says_that_nothing_is_decided():
    retrieval_cell("dino", raw=np.full(9, 0.5), prune=np.full(9, 0.4))
    write("retrieval", ["dino"])
    assert "Fewer than 10 instances: too few for a verdict" in text("retrieval")


def test_variants_fitted_on_the_query_are_said_to_be_transductive():
    retrieval_cell("dino", raw=np.full(20, 0.5), prune=np.full(20, 0.4))
    table = write("retrieval", ["dino"]).assign(fit="transductive")
    assert "fitted on the query images themselves (transductive)" in RETRIEVAL.words.caption(table)


def test_latex_escapes_and_is_ascii():
    retrieval_cell("dino_b", raw=np.full(20, 0.5), prune=np.full(20, 0.4))
    write("retrieval", ["dino_b"])
    shown = text("retrieval", "tex")
    assert shown.isascii()
    assert r"dino\_b" in shown
    assert r"quiet\_street" in shown


def test_a_missing_cell_is_an_error_with_the_remedy():
    retrieval_cell("dino", raw=np.full(20, 0.5), prune=np.full(20, 0.4))
    with pytest.raises(DataError, match=r"d/mae/\w+\.json: missing; run `dvc repro`"):
        write("retrieval", ["dino", "mae"])


def test_no_dataset_gives_empty_tables_that_say_so():
    assert write("tracking", ["dino"], datasets=()).empty
    assert text("tracking") == "tracking.datasets lists no datasets.\n"
    assert tables.latex(TRACKING, pd.DataFrame(columns=["dataset"])).strip() == ""


def tracking_cell(model: str, nearest: list[int]) -> None:
    """Association after 1 frame of videos with 10 pairs each, from the records of T4."""
    found = []
    for video, hits in enumerate(nearest):
        values = dict.fromkeys(COUNTS, 0.0) | {COUNTS[0]: 10.0, COUNTS[1]: float(hits)}
        counts = {f"{name}_d1": value for name, value in values.items()}
        found += tracking_summary.rows("association", "raw", 0, f"v{video}", counts)
    records = tracking_summary.records(found)
    weigh = partial(TRACKING.measures.weighted, index=None)
    cell = scored(weigh, records, SharedResampler.of(UNCERTAINTY))
    about = {"videos": len(nearest), "boxes": 99, "age": 30, "scored_by": "TrackEval 1.3.0"}
    about |= {"threshold_from": "support", "unit": "video"}
    folder = paths.cell(dataset="d", model=model)
    write_json(cell | {"protocol": PROTOCOL | about}, folder / "tracking.json")
    write_json(COST, folder / "extract.json")
    write_parquet(records, folder / "tracking.records.parquet")


def test_tracking_is_compared_over_videos_and_carries_its_note():
    tracking_cell("dino", [9, 8, 9, 9, 8, 9, 9, 8, 9, 9])
    tracking_cell("mae", [5, 5, 6, 5, 5, 6, 5, 5, 5, 5])
    write("tracking", ["dino", "mae"], variants=["raw"])
    shown = text("tracking")
    assert "**association: accuracy after 1 frame (%)**" in shown
    assert line(shown, "dino")[1].startswith("**87.0 [")
    assert line(shown, "mae")[1].startswith("52.0 [")
    assert "DetA = 1, HOTA = √AssA and MOTA = 1 − IDSW/GT" in shown


def test_one_video_has_no_interval_and_no_other_video_to_choose_on():
    tracking_cell("dino", [9])
    path = paths.cell(dataset="d", model="dino") / "tracking.json"
    cell = json.loads(path.read_text())
    cell["protocol"] |= {"threshold_from": "leave-one-out"}
    write_json(cell, path)
    write("tracking", ["dino"], variants=["raw"])
    assert line(text("tracking"), "dino")[1] == "**90.0**"
    assert "interval over videos (none for a single one)" in text("tracking")
    assert "birth threshold the lowest that is listed, as there is no other" in text("tracking")


def test_resamples_agree_with_the_intervals_of_the_cells(index: Index):
    tracking_cell("dino", [9, 8, 2, 9, 1, 9, 9, 8, 4, 9])
    folder = paths.cell(dataset="d", model="dino")
    records = pd.read_parquet(folder / "tracking.records.parquet")
    of_cell = json.loads((folder / "tracking.json").read_text())["association"]["raw"]
    drawn = TRACKING.measures.weighted(records, index).resampled(SharedResampler(200, 0))["d1"]
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert (of_cell["d1_ci_low"], of_cell["d1_ci_high"]) == pytest.approx((low, high), abs=1e-4)


def test_identification_shows_its_counts_for_every_head():
    folder = paths.cell(dataset="d", model="dino")
    scores = {"robustness": 0.5, "robustness_ci_low": 0.4, "robustness_ci_high": 0.6}
    heads = {h: {"raw": scores | {"queries": 7, "gallery": g}} for h, g in
             (("object", 5), ("patch", 512), ("patch_2", 128))}  # fmt: skip
    about = {"copies": 30, "degraded_images": 10, "patches": 16, "unit": "source image"}
    write_json(heads | {"protocol": PROTOCOL | about}, folder / "identification.json")
    write_json(COST, folder / "extract.json")
    records = [
        {"head": h, "variant": "raw", "draw": 0, "unit": f"i{u}", "degradation": "blur",
         "severity": 1.0, "size": "all", "hits1": 1, "hits5": 1, "queries": 2}
        for h in heads for u in range(10)
    ]  # fmt: skip
    write_parquet(pd.DataFrame(records), folder / "identification.records.parquet")
    write("identification", ["dino"], variants=["raw"])
    shown = text("identification")
    assert "2×2 patches: 7 queries, gallery of 128" in shown
    places = [
        shown.index(f"**{h}: robustness (%)**") for h in ("patches", "2×2 patches", "objects")
    ]
    assert places == sorted(places)


def test_headlines_of_tracking():
    keys = ["d1", "d10", "d2", "d20", "optimal_d1", "assa", "idf1", "idsw", "hota", "jf_mean"]
    names = {head: [s.key for s in headline(TRACKING.metrics, head, keys)]
             for head in ("association", "link", "link_free", "davis")}  # fmt: skip
    assert names == {
        "association": ["d1", "d10", "d20"],
        "link": ["assa", "idf1", "idsw"],
        "link_free": ["assa"],
        "davis": ["jf_mean"],
    }
    [_, _, switches] = headline(TRACKING.metrics, "link", keys)
    assert not switches.higher_is_better


def test_heads_are_in_order():
    assert TASKS["identification"].words.in_order(["object", "patch_4", "patch", "patch_2"]) == [
        "patch", "patch_2", "patch_4", "object",
    ]  # fmt: skip
    assert tables.markdown(RETRIEVAL, pd.DataFrame(columns=["dataset"])).startswith(
        "retrieval.datasets"
    )


def test_orphans_are_what_no_task_is_configured_to_write(here):
    for dataset in ("d", "e", "old"):
        for name in ("retrieval.json", "retrieval_size.csv", "tracking.json"):
            write_json({}, paths.cell(dataset=dataset, model="m") / name)
    runs = {"retrieval": ["d", "e"], "tracking": ["e"]}
    tables.remove_orphans(configured(models={"m": None}, runs=runs))
    left = [(p.parent.parent.name, p.name) for p in sorted(paths.CELLS.glob("*/*/*"))]
    both = ["retrieval.json", "retrieval_size.csv"]
    assert left == [*(("d", n) for n in both), *(("e", n) for n in [*both, "tracking.json"])]
    assert not (paths.CELLS / "old").exists()
