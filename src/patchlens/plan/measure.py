"""How fast this machine is at what a plan counts, from a second of each kind of work.

The functions of the stages do it on random numbers, in one thread; a GPU does the forward passes.
"""

import time
from collections.abc import Callable

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from timm.models.vision_transformer import VisionTransformer

from patchlens.features.device import Where, of_backbone
from patchlens.plan.cost import Rates
from patchlens.settings.classifiers import Linear
from patchlens.settings.features import Device
from patchlens.tasks.cost import PROBE_STEPS, probe_work, search_work
from patchlens.tasks.knn import search
from patchlens.tasks.probe import fit_probe
from patchlens.tasks.segmentation.upsample import upsampled_argmax

SECONDS = 1.0  # of each kind of work, at least
BLOCKS = 2  # of the ViT that is measured; all blocks are alike
BATCH = 8
CLASSES, BANK, QUERIES, LABELLED = 20, 8192, 1024, 1000


def measured(width: int, patches: int, device: Device, seconds: float = SECONDS) -> Rates:
    """The rates of this machine.

    Args:
        width: of the largest model, D.
        patches: of one view of it.
        device: of the settings.
        seconds: of each kind of work, at least.
    """
    rng = np.random.default_rng(0)
    bank = rng.normal(size=(BANK, width)).astype(np.float32)
    few, labels = bank[:LABELLED], np.arange(LABELLED) % CLASSES
    shares = rng.random((16, 32, CLASSES), dtype=np.float32)
    size = (256, 512)
    one = Linear(c=[1.0], default_c=1.0, folds=2, max_iter=10 * PROBE_STEPS)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            work: dict[str, tuple[float, Callable[[], object]]] = {
                "core": _forward(width, patches, "cpu"),
                "knn": (
                    search_work(float(BANK) * QUERIES, width),
                    lambda: search(bank, bank[:QUERIES], 10, distance="cosine", device="cpu"),
                ),
                # What a plan counts for it, however many steps it took.
                "probe": (
                    probe_work(LABELLED, width, CLASSES),
                    lambda: fit_probe(few, labels, labels, CLASSES, one),
                ),
                "maps": (
                    float(np.prod(size)) * CLASSES,
                    lambda: upsampled_argmax(shares, size),
                ),
            }
            found = {name: amount / _time(do, seconds) for name, (amount, do) in work.items()}
    finally:
        torch.set_num_threads(threads)
    where = of_backbone(device)
    if where != "cpu":
        amount, do = _forward(width, patches, where)
        found["gpu"] = amount / _time(do, seconds)
    return Rates(**found, measured=True)


def _forward(width: int, patches: int, where: Where) -> tuple[float, Callable[[], object]]:
    """FLOP of a batch through blocks of a ViT, and the function that does it."""
    heads = max(1, width // 64)
    model = VisionTransformer(embed_dim=width // heads * heads, depth=BLOCKS, num_heads=heads)
    blocks = model.blocks.eval().requires_grad_(False).to(where)
    tokens = torch.randn(BATCH, patches, width // heads * heads, device=where)
    weights = sum(p.numel() for p in blocks.parameters())
    flop = 2.0 * weights * patches + 4.0 * patches**2 * tokens.shape[-1] * BLOCKS

    @torch.inference_mode()
    def do() -> None:
        blocks(tokens)
        if where != "cpu":
            getattr(torch, where).synchronize()

    return BATCH * flop, do


def _time(do: Callable[[], object], seconds: float) -> float:
    """Seconds that one call takes: the least of several, as others may use the machine."""
    do()
    best, begun = float("inf"), time.perf_counter()
    while time.perf_counter() - begun < seconds or best == float("inf"):
        start = time.perf_counter()
        do()
        best = min(best, time.perf_counter() - start)
    return best
