"""Indexes of faiss, their recall, and what it costs to fall short of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from patchlens.errors import FitError
from patchlens.features.variants import unit_rows
from patchlens.names import DatasetName
from patchlens.settings.classifiers import Knn
from patchlens.tasks import approximate
from patchlens.tasks.approximate import Index, Recall, about, build, check, recall
from patchlens.tasks.bank import Bank
from patchlens.tasks.cost import Planned

KINDS = [("exact", "fp16"), ("exact", "sq8"), ("ivf", "fp32"), ("ivf", "sq8"), ("hnsw", "fp16")]


def knn(**given: Any) -> Knn:
    return Knn(**({"distance": "cosine", "vote": "majority", "temperature": 0.07} | given))


@pytest.fixture(scope="module")
def arrays() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(40, 16))
    bank = centres[rng.integers(0, 40, 3000)] + 0.3 * rng.normal(size=(3000, 16))
    queries = centres[rng.integers(0, 40, 60)] + 0.3 * rng.normal(size=(60, 16))
    return bank.astype(np.float32), queries.astype(np.float32)


@pytest.mark.parametrize(("kind", "storage"), KINDS)
@pytest.mark.parametrize("distance", ["cosine", "l2"])
def test_an_index_finds_nearly_what_the_exact_search_finds(
    arrays: Any, tmp_path: Path, kind: Any, storage: Any, distance: Any
) -> None:
    bank, queries = arrays
    settings = knn(index=kind, storage=storage, distance=distance, train=2000, nprobe=16)
    build(bank, settings, tmp_path / "bank.faiss")
    index = Index(tmp_path / "bank.faiss", settings, "cpu")
    exact = Bank(bank, distance=distance, device="cpu")
    found = recall(index, exact, queries, [1, 10])
    assert {"sq8": 0.85}.get(storage, 0.95) <= found.share <= 1  # codes of 8 bits err most
    [(similarity, rows)] = index.search(queries, 10)
    given = bank[rows]
    if distance == "l2":
        true = -np.square(queries[:, None] - given).sum(axis=-1)
    else:
        true = np.einsum(
            "qd,qkd->qk", unit_rows(queries), unit_rows(given.reshape(-1, 16)).reshape(given.shape)
        )
    np.testing.assert_allclose(similarity, true, rtol=0.05, atol=0.02)


def test_a_bank_is_indexed_part_by_part_to_the_same_file(
    arrays: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    bank, _ = arrays
    settings = knn(index="ivf", storage="sq8", train=1000)
    build(bank, settings, tmp_path / "whole")
    monkeypatch.setattr(approximate, "PART", 700)
    build(bank, settings, tmp_path / "parts")
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "parts").read_bytes()
    build(bank, settings.model_copy(update={"seed": 1}), tmp_path / "other")
    assert (tmp_path / "whole").read_bytes() != (tmp_path / "other").read_bytes()


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_recall_below_the_setting_is_one_line_with_the_remedy(
    arrays: Any, tmp_path: Path, kind: Any
) -> None:
    bank, queries = np.random.default_rng(1).normal(size=(2, 3000, 16)).astype(np.float32)
    settings = knn(index=kind, lists=64, nprobe=1, links=2, ef_search=1, train=3000)
    build(bank, settings, tmp_path / "bank")
    exact = Bank(bank, distance="cosine", device="cpu")
    found = recall(Index(tmp_path / "bank", settings, "cpu"), exact, queries[:50], [1, 5])
    assert found.share < 0.8
    with pytest.raises(FitError) as caught:
        check(found, settings, "50 query patches")
    line = str(caught.value)
    remedy = {"ivf": "raise segmentation.knn.nprobe (1)", "hnsw": "segmentation.knn.ef_search (1)"}
    for part in (f"recall@{found.k}", "50 query patches", "segmentation.knn.recall: 0.95"):
        assert part in line
    assert remedy[kind] in line
    assert "\n" not in line


def test_recall_is_the_least_over_k_and_counts_patches_that_are_as_near() -> None:
    bank = np.array([[1, 0]] * 4 + [[0, 1], [-1, 0]], dtype=np.float32)

    class Given:
        def __init__(self, rows: list[int]) -> None:
            self.rows = np.array([rows])

        def search(self, queries: Any, k: int) -> Any:
            return [(None, self.rows[:, :k])]

    exact, query = Bank(bank, distance="dot", device="cpu"), bank[:1]
    of = {}
    for name, rows in {"tied": [3, 2], "one": [3, 4], "none": [5, 4]}.items():
        of[name] = recall(Given(rows), exact, query, [1, 2])  # type: ignore[arg-type]
    assert of == {"tied": Recall(1.0, 1), "one": Recall(0.5, 2), "none": Recall(0.0, 1)}


def test_too_few_found_is_an_error_and_no_neighbour(arrays: Any, tmp_path: Path) -> None:
    bank, queries = arrays
    settings = knn(index="ivf", lists=60, nprobe=1, train=3000)
    build(bank, settings, tmp_path / "bank")
    with pytest.raises(FitError, match=r"ivf finds fewer than k = 900.*nprobe \(1\)"):
        Index(tmp_path / "bank", settings, "cpu").search(queries, 900)


def test_the_exact_search_says_nothing_new() -> None:
    assert knn().exact
    assert about(knn()) == {}
    assert about(knn(index="ivf", nprobe=7)) == {
        "knn_index": "ivf",
        "knn_storage": "fp32",
        "knn_nprobe": 7,
        "knn_recall_queries": 1000,
    }


def test_a_plan_counts_build_search_recall_and_bytes(tmp_path: Path, arrays: Any) -> None:
    of_images = {"patches": 1, "support": 0, "query": 1, "pools": 1, "classes": 2, "pixels": 1}
    own: Any = None  # no setting of others is read
    cell = Planned(own, DatasetName("d"), width=16, layers=[0], grid=(1, 1), reader="", **of_images)
    bank, queries = 3000, 10_000_000
    exact = cell.neighbours(knn(), bank=bank, queries=queries)
    assert exact == cell.search(bank=bank, queries=queries)
    measured = cell.search(bank=bank, queries=1000)
    flat = knn(storage="sq8")
    assert cell.neighbours(flat, bank=bank, queries=queries) == exact + measured
    ivf = knn(index="ivf", lists=50, nprobe=5)
    assert 0.1 < cell.neighbours(ivf, bank=bank, queries=queries) / exact < 0.13
    assert cell.neighbours(ivf, bank=bank, queries=1) > measured  # it is built all the same
    for settings in (flat, ivf, knn(index="hnsw", links=8, storage="fp16")):
        build(arrays[0], settings, tmp_path / "bank")
        size = (tmp_path / "bank").stat().st_size
        assert cell.stored(settings, bank=bank) == pytest.approx(size, rel=0.2)
    assert cell.stored(knn(), bank=bank) == 0
    assert cell.choosing(images=900, folds=4, most=100) == cell.search(bank=75, queries=100)
