import subprocess
import sys

SEARCH = """
import numpy as np, torch
from pathlib import Path
from patchlens.tasks import knn
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(l.split()[1]) for l in lines if l.startswith("VmHWM")) / 1024
rng = np.random.default_rng(0)
warm = rng.random((4096, 64), np.float32)
for distance in ("cosine", "dot", "l2"):
    knn.search(warm, warm, 10, distance=distance, device=torch.device("cpu"))
bank = rng.random((160_000, 64), np.float32)  # 39 MiB
queries = rng.random((600, 64), np.float32)
for distance in ("cosine", "dot", "l2"):
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    before = peak()
    knn.search(bank, queries, 10, distance=distance, device=torch.device("cpu"))
    print(peak() - before)
"""


def test_a_search_needs_no_more_than_one_copy_of_the_bank():
    # A matrix of all similarities would be 366 MiB, a second copy of the bank 39 MiB.
    command = [sys.executable, "-c", SEARCH]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    cosine, dot, l2 = map(float, done.stdout.split())
    assert cosine < 39.1 + 24
    assert dot < 24
    assert l2 < 24
