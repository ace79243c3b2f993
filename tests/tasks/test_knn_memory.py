from memory import printed

SEARCH = """
import numpy as np, torch
from pathlib import Path
from memory import peak
from patchlens.tasks import knn
rng = np.random.default_rng(0)
warm = rng.random((4096, 64), np.float32)
for distance in ("cosine", "dot", "l2"):
    knn.search(warm, warm, 10, distance=distance, device="cpu")
bank = rng.random((160_000, 64), np.float32)  # 39 MiB
queries = rng.random((150, 64), np.float32)
for distance in ("cosine", "dot", "l2"):
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    before = peak()
    knn.search(bank, queries, 10, distance=distance, device="cpu")
    print((peak() - before) / 1024)
"""


def test_a_search_needs_no_more_than_one_copy_of_the_bank():
    # A matrix of all similarities would be 92 MiB, a second copy of the bank 39 MiB.
    cosine, dot, l2 = map(float, printed(SEARCH).split())
    assert cosine < 39.1 + 24
    assert dot < 24
    assert l2 < 24
