import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from patchlens.errors import FitError
from patchlens.tasks import bank as banks
from patchlens.tasks.bank import Bank, on_host
from patchlens.tasks.knn import labels_of, search, vote

CPU = "cpu"
METRICS = {"cosine": "cosine", "l2": "sqeuclidean"}
DISTANCES = ["cosine", "dot", "l2"]


@pytest.fixture
def arrays() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    bank = rng.normal(0.3, 1, (300, 24)) * rng.uniform(0.5, 3, 24)
    queries = rng.normal(0.3, 1, (97, 24)) * rng.uniform(0.5, 3, 24)
    return bank.astype(np.float32), queries.astype(np.float32)


def numpy_similarity(bank: np.ndarray, queries: np.ndarray, distance: str) -> np.ndarray:
    bank, queries = bank.astype(np.float64), queries.astype(np.float64)
    if distance == "l2":
        return -np.square(queries[:, None] - bank[None]).sum(axis=-1)
    if distance == "cosine":
        bank = bank / np.linalg.norm(bank, axis=1, keepdims=True)
        queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    return queries @ bank.T


@pytest.mark.parametrize("distance", ["cosine", "l2"])
def test_neighbours_are_those_of_scikit_learn(arrays, distance):
    bank, queries = arrays
    reference = NearestNeighbors(n_neighbors=7, algorithm="brute", metric=METRICS[distance])
    far, rows = reference.fit(bank).kneighbors(queries)
    similarity, found = search(bank, queries, 7, distance=distance, device=CPU)
    assert np.array_equal(found, rows)
    expected = 1 - far if distance == "cosine" else -far
    np.testing.assert_allclose(similarity, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("distance", DISTANCES)
def test_neighbours_are_those_of_a_numpy_product(arrays, distance):
    bank, queries = arrays
    full = numpy_similarity(bank, queries, distance)
    rows = np.argsort(-full, axis=1)[:, :5]
    similarity, found = search(bank, queries, 5, distance=distance, device=CPU)
    assert np.array_equal(found, rows)
    expected = np.take_along_axis(full, rows, axis=1)
    np.testing.assert_allclose(similarity, expected, rtol=1e-4, atol=1e-5)


def test_inputs_are_left_as_they_were(arrays):
    bank, queries = arrays
    before = bank.copy(), queries.copy()
    search(bank, queries, 3, distance="cosine", device=CPU)
    assert np.array_equal(bank, before[0])
    assert np.array_equal(queries, before[1])


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("count", [31, 32, 33, 64, 97])
def test_blocks_of_queries_meet_without_a_seam(arrays, distance, count, monkeypatch):
    bank, queries = arrays
    monkeypatch.setattr(banks, "BLOCK", 32)
    similarity, rows = search(bank, queries[:count], 4, distance=distance, device=CPU)
    full = numpy_similarity(bank, queries[:count], distance)
    assert np.array_equal(rows, np.argsort(-full, axis=1)[:, :4])
    np.testing.assert_allclose(similarity, -np.sort(-full, axis=1)[:, :4], rtol=1e-4, atol=1e-5)


def test_more_queries_than_a_real_block():
    rng = np.random.default_rng(1)
    queries = rng.normal(size=(banks.BLOCK + 5, 8)).astype(np.float32)
    # Each query's nearest row is itself, also beyond the first block.
    _, rows = search(queries, queries, 1, distance="l2", device=CPU)
    assert np.array_equal(rows[:, 0], np.arange(len(queries)))


def test_more_neighbours_than_patches_is_an_error(arrays):
    bank, queries = arrays
    with pytest.raises(FitError, match=r"k = 6 exceeds the 5 patches"):
        search(bank[:5], queries, 6, distance="dot", device=CPU)
    _, rows = search(bank[:5], queries, 5, distance="dot", device=CPU)
    assert np.array_equal(np.sort(rows, axis=1), np.tile(np.arange(5), (len(queries), 1)))


def test_a_zero_row_has_cosine_zero_with_all():
    bank = np.array([[0, 0], [1, 0], [-1, 0]], np.float32)
    query = np.array([[2, 0]], np.float32)
    similarity, rows = search(bank, query, 3, distance="cosine", device=CPU)
    assert rows.tolist() == [[1, 0, 2]]
    np.testing.assert_allclose(similarity, [[1, 0, -1]])


@pytest.mark.parametrize("distance", DISTANCES)
def test_equally_near_patches_come_in_the_order_of_the_bank(distance):
    # A k sweep takes the first k of many: a tie must not depend on how many were asked for.
    bank = np.tile(np.array([[1, 2, 3]], np.float32), (40, 1))
    bank[7] = [0, 0, -1]
    queries = np.array([[1, 2, 4], [2, 1, 1]], np.float32)
    _, rows = search(bank, queries, 9, distance=distance, device=CPU)
    assert rows.tolist() == [[0, 1, 2, 3, 4, 5, 6, 8, 9]] * 2
    _, first = search(bank, queries, 1, distance=distance, device=CPU)
    assert first.tolist() == [[0], [0]]


@pytest.mark.parametrize("wide", [banks.WIDE, 40, 7])
@pytest.mark.parametrize("distance", DISTANCES)
def test_the_torch_path_equals_faiss_whatever_the_parts_of_the_bank(
    arrays, distance, wide, monkeypatch
):
    bank, queries = arrays
    similarity, rows = search(bank, queries, 9, distance=distance, device=CPU)
    monkeypatch.setattr(banks, "WIDE", wide)
    [found] = Bank(bank, distance=distance, device=CPU, torch=True).search(queries, 9)
    assert isinstance(found.rows, torch.Tensor)
    assert np.array_equal(on_host(found.rows), rows)
    np.testing.assert_allclose(on_host(found.similarity), similarity, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("distance", ["dot", "l2"])
@pytest.mark.parametrize("k", [1, 2, 30, 200, 3000])
def test_which_of_equally_near_patches_wins_is_not_left_to_the_search(k, distance):
    rng = np.random.default_rng(5)
    bank = rng.integers(-3, 4, (3000, 3)).astype(np.float32)  # a few equal the k-th, or hundreds
    queries = rng.integers(-3, 4, (60, 3)).astype(np.float32)
    full = numpy_similarity(bank, queries, distance)
    expected = np.argsort(-full, axis=1, kind="stable")[:, :k]
    similarity, rows = search(bank, queries, k, distance=distance, device=CPU)
    assert np.array_equal(rows, expected)
    np.testing.assert_array_equal(similarity, np.take_along_axis(full, rows, 1))


@pytest.mark.parametrize("wide", [banks.WIDE, 7])
@pytest.mark.parametrize("k", [1, 4, 40])
def test_torch_gives_equally_near_patches_in_the_order_of_the_bank(k, wide, monkeypatch):
    monkeypatch.setattr(banks, "WIDE", wide)
    rng = np.random.default_rng(4)
    bank = rng.integers(-1, 2, (40, 2)).astype(np.float32)  # mostly ties, exact in float32
    queries = rng.integers(-1, 2, (30, 2)).astype(np.float32)
    [found] = Bank(bank, distance="dot", device=CPU, torch=True).search(queries, k)
    expected = np.argsort(-(queries @ bank.T), axis=1, kind="stable")[:, :k]
    assert np.array_equal(on_host(found.rows), expected)


@pytest.mark.parametrize("weighting", ["majority", "softmax"])
def test_votes_in_torch_are_those_of_numpy(arrays, weighting):
    bank, queries = arrays
    labels = np.random.default_rng(3).integers(0, 4, len(bank))
    similarity, rows = search(bank, queries, 9, distance="cosine", device=CPU)
    similarity = similarity.round(1)  # many are equal
    how = {"weighting": weighting, "temperature": 0.07}
    shares, winner = vote(similarity, labels[rows], 4, **how)
    places = torch.from_numpy(rows)
    ours = vote(torch.from_numpy(similarity), labels_of(labels, places), 4, **how)
    np.testing.assert_allclose(on_host(ours[0]), shares, rtol=1e-6)
    assert np.array_equal(on_host(ours[1]), winner)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
@pytest.mark.parametrize("distance", DISTANCES)
def test_the_gpu_finds_the_same_neighbours(arrays, distance):
    bank, queries = arrays
    similarity, rows = search(bank, queries, 9, distance=distance, device=CPU)
    found, where = search(bank, queries, 9, distance=distance, device="cuda")
    assert np.array_equal(where, rows)
    np.testing.assert_allclose(found, similarity, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("k", [1, 3, 9])
def test_predictions_are_those_of_scikit_learn_where_no_classes_tie(arrays, k):
    bank, queries = arrays
    labels = np.random.default_rng(2).integers(0, 4, len(bank))
    reference = KNeighborsClassifier(k, algorithm="brute", metric="cosine").fit(bank, labels)
    similarity, rows = search(bank, queries, k, distance="cosine", device=CPU)
    shares, winner = vote(similarity, labels[rows], 4, weighting="majority", temperature=1)
    np.testing.assert_allclose(shares, reference.predict_proba(queries), atol=1e-6)
    ordered = np.sort(shares, axis=1)
    clear = ordered[:, -1] > ordered[:, -2]
    assert clear.sum() > 30
    assert np.array_equal(winner[clear], reference.predict(queries)[clear])


def test_a_tied_vote_goes_to_the_larger_summed_similarity():
    # Class 2: 0.9 + 0.1 = 1.0. Class 0: 0.5 + 0.6 = 1.1. Class 1: one vote, however similar.
    similarity = np.array([[5, 0.9, 0.6, 0.5, 0.1]], np.float32)
    labels = np.array([[1, 2, 0, 0, 2]])
    shares, winner = vote(similarity, labels, 3, weighting="majority", temperature=1)
    np.testing.assert_allclose(shares, [[0.4, 0.2, 0.4]])
    assert winner.tolist() == [0]
    higher = np.array([[5, 0.9, 0.6, 0.5, 0.3]], np.float32)
    assert vote(higher, labels, 3, weighting="majority", temperature=1)[1].tolist() == [2]


def test_tied_votes_with_negative_similarity_never_elect_an_absent_class():
    # Squared distances are negative similarities: class 0 has none and must not win by its 0.
    similarity = np.array([[-1, -4]], np.float32)
    _, winner = vote(similarity, np.array([[2, 1]]), 3, weighting="majority", temperature=1)
    assert winner.tolist() == [2]


def test_a_full_tie_goes_to_the_lower_class_id():
    similarity = np.array([[0.5, 0.5, 0.25, 0.25]], np.float32)
    labels = np.array([[3, 1, 1, 3]])
    for weighting in ("majority", "softmax"):
        _, winner = vote(similarity, labels, 4, weighting=weighting, temperature=0.5)
        assert winner.tolist() == [1]


def test_softmax_weights_by_hand():
    # exp(0.2/0.1) : exp(0.1/0.1) : exp(0/0.1) = e² : e : 1; classes 1, 0, 0.
    similarity = np.array([[0.2, 0.1, 0.0]], np.float32)
    shares, winner = vote(
        similarity, np.array([[1, 0, 0]]), 2, weighting="softmax", temperature=0.1
    )
    e = np.e
    total = e**2 + e + 1
    np.testing.assert_allclose(shares, [[(e + 1) / total, e**2 / total]], rtol=1e-5)
    assert winner.tolist() == [1]  # the majority would have said 0


def test_softmax_stays_finite_at_a_small_temperature():
    similarity = np.array([[1.0, 0.9]], np.float32)
    shares, _ = vote(similarity, np.array([[0, 1]]), 2, weighting="softmax", temperature=1e-3)
    np.testing.assert_allclose(shares, [[1, 0]], atol=1e-6)


class Read:
    """Rows that are read part by part, with the most that were asked for at once."""

    def __init__(self, x: np.ndarray) -> None:
        self.x, self.most = x, 0

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, part: slice) -> np.ndarray:
        found = self.x[part]
        self.most = max(self.most, len(found))
        return found


def tied(count: int) -> tuple[np.ndarray, np.ndarray]:
    """A bank whose second half repeats the first, so that all is tied over its parts."""
    rng = np.random.default_rng(6)
    bank = rng.standard_normal((count, 6), dtype=np.float32)
    bank[count // 2 :] = bank[: count - count // 2]
    return bank, rng.standard_normal((40, 6), dtype=np.float32)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("path", ["faiss", "torch", "nested"])
@pytest.mark.parametrize("count", [4097, 9000])
def test_a_bank_that_is_read_in_parts_gives_the_neighbours_of_the_whole(count, path, distance):
    bank, queries = tied(count)
    nested = {"order": np.arange(6)[::-1], "sizes": [2, 6]} if path == "nested" else {}
    kind = {"distance": distance, "device": CPU, "torch": path == "torch", **nested}
    read = Read(bank)
    whole = Bank(bank, **kind).search(queries, 5)
    found = Bank(read, **kind, held=banks.SMALL).search(queries, 5)
    assert 1 < read.most <= banks.SMALL
    assert len(found) == len(whole)
    for one, other in zip(found, whole, strict=True):
        assert np.array_equal(on_host(one.rows), on_host(other.rows))
        if path != "torch":  # whose products of a part of another size are rounded in other ways
            assert np.array_equal(one.similarity, other.similarity)


@pytest.mark.parametrize("cuts", [[], [1], [7, 8, 30], [39]])
def test_the_nearest_of_parts_are_merged_by_similarity_and_row(cuts):
    rng = np.random.default_rng(7)
    scores = rng.integers(0, 4, (5, 40)).astype(np.float32)
    order = np.argsort(-scores, axis=1, kind="stable")
    k, parts = 6, []
    for columns in np.split(np.arange(40), cuts):
        first = columns[np.argsort(-scores[:, columns], axis=1, kind="stable")[:, :k]]
        parts.append(banks.Neighbours(np.take_along_axis(scores, first, 1), first))
    similarity, rows = banks.merge(parts[::-1], k)
    assert np.array_equal(rows, order[:, :k])
    assert np.array_equal(similarity, np.take_along_axis(scores, order[:, :k], 1))
