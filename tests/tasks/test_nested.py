"""Nested searches give the neighbours of separate ones, whatever the distance."""

import numpy as np
import pytest

from patchlens.errors import FitError
from patchlens.tasks import bank as banks
from patchlens.tasks.bank import SMALL_BLOCK, Bank, on_host
from patchlens.tasks.knn import search

CPU = "cpu"
WIDTH, SIZES = 24, [1, 2, 7, 8, 20, 24]
RNG = np.random.default_rng(0)
ORDER = RNG.permutation(WIDTH)


def both(bank, queries, k, distance, sizes=SIZES, order=ORDER, **options):
    nested = Bank(bank, distance=distance, device=CPU, order=order, sizes=sizes, **options)
    for size, found in zip(sizes, nested.search(queries, k), strict=True):
        similarity, rows = map(on_host, found)
        kept = np.sort(order[:size])
        apart = search(bank[:, kept], queries[:, kept], k, distance=distance, device=CPU)
        yield (similarity, rows), apart


@pytest.mark.parametrize("distance", ["cosine", "dot", "l2"])
@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("torch", [False, True])
def test_whole_numbers_have_the_very_neighbours_of_separate_searches(distance, k, torch):
    # Products of small whole numbers are exact in float32, so only exact ties may differ.
    bank = RNG.integers(-9, 10, (197, WIDTH)).astype(np.float32)
    queries = RNG.integers(-9, 10, (SMALL_BLOCK + 3, WIDTH)).astype(np.float32)
    found = list(both(bank, queries, k, distance, torch=torch))
    assert len(found) == len(SIZES)
    for (similarity, rows), (apart_similarity, apart_rows) in found:
        np.testing.assert_allclose(similarity, apart_similarity, rtol=1e-5, atol=1e-5)
        differ = rows != apart_rows
        assert np.isclose(similarity[differ], apart_similarity[differ], atol=1e-6).all()
        if distance != "cosine":  # no division: what differs is an exact tie
            assert (similarity == apart_similarity).all()


@pytest.mark.parametrize("distance", ["cosine", "dot", "l2"])
def test_real_numbers_differ_only_where_similarities_are_equal_to_rounding(distance):
    bank = (RNG.normal(size=(700, WIDTH)) * RNG.uniform(0.1, 20, WIDTH)).astype(np.float32)
    queries = (RNG.normal(size=(300, WIDTH)) * RNG.uniform(0.1, 20, WIDTH)).astype(np.float32)
    same, total = 0, 0
    # Squared distances are differences of squared norms: their rounding is that of the norms.
    scale = 1 if distance == "cosine" else np.square(bank).sum(axis=1).max()
    for (similarity, rows), (apart_similarity, apart_rows) in both(
        bank, queries, 7, distance, sizes=SIZES[1:]
    ):
        assert np.abs(similarity - apart_similarity).max() <= 1e-6 * scale
        same, total = same + (rows == apart_rows).sum(), total + rows.size
    assert same / total > 0.99


def test_large_dimensions_that_come_last_do_not_blur_the_small_ones_before_them():
    # Subtracting a large block from the whole would lose these neighbours in rounding.
    bank, queries = RNG.normal(size=(400, WIDTH)), RNG.normal(size=(200, WIDTH))
    for x in (bank, queries):
        x[:, ORDER[20:]] *= 1e5
    bank, queries = bank.astype(np.float32), queries.astype(np.float32)
    (_, rows), (_, apart) = next(both(bank, queries, 1, "cosine", sizes=[20, 24]))
    assert (rows == apart).all()


def test_a_zero_row_has_similarity_0():
    bank = RNG.normal(size=(50, WIDTH)).astype(np.float32)
    bank[7] = 0
    queries = np.zeros((1, WIDTH), np.float32)
    nested = Bank(bank, distance="cosine", device=CPU, order=ORDER, sizes=SIZES)
    answers = nested.search(queries, 50)
    assert len(answers) == len(SIZES)
    for found in answers:
        assert (found.similarity == 0).all()
        assert (found.rows[0] == np.arange(50)).all()


def test_k_beyond_the_bank_is_an_error_that_names_the_setting():
    x = np.ones((3, WIDTH), np.float32)
    with pytest.raises(FitError, match=r"k = 4 .* 3 patches .*segmentation\.k"):
        Bank(x, distance="dot", device=CPU, order=ORDER, sizes=SIZES).search(x, 4)


@pytest.mark.parametrize("small", [7, 4096])
def test_equal_similarities_come_by_row_whatever_the_parts_of_the_bank(small, monkeypatch):
    monkeypatch.setattr(banks, "SMALL", small)
    bank = RNG.integers(-1, 2, (60, WIDTH)).astype(np.float32)
    queries = RNG.integers(-1, 2, (20, WIDTH)).astype(np.float32)
    found = Bank(bank, distance="dot", device=CPU, order=ORDER, sizes=[2, 3]).search(queries, 9)
    for size, (_, rows) in zip([2, 3], found, strict=True):
        kept = ORDER[:size]
        products = queries[:, kept] @ bank[:, kept].T
        assert np.array_equal(rows, np.argsort(-products, axis=1, kind="stable")[:, :9])
