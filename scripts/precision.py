"""What `features.precision` does to the scores of T1: `precision.py ROOT WEIGHTS [ROWS COLUMNS]`.

CamVid in ROOT with a ViT-S/14 of DINOv2's names in WEIGHTS, on this machine's device: the scores
of fp32, those of each other precision, and how far its features lie from those of fp32.
"""

import sys
import time
from typing import Any

import numpy as np
from tabulate import tabulate

import patchlens
from patchlens.features.cell import Cell
from patchlens.features.device import Where, describe, resolve
from patchlens.tasks.result import Result
from patchlens.tasks.segmentation.run import run

FP32, OTHERS = "fp32", {"cpu": ["bf16"], "cuda": ["tf32", "bf16", "fp16"]}


def main(root: str, weights: str, rows: str = "24", columns: str = "32") -> None:
    grid = (int(rows), int(columns))
    query = {"split": "test", "images": 40, "per": "total", "unit": "image"}
    data = patchlens.load_dataset("camvid", root, patches=grid, support="train", query=query)
    model = patchlens.load_backbone(weights, arch="vit_small_patch14_dinov2", position="dino")
    features: dict[str, Any] = {}

    def segmentation(cell: Cell) -> Result:
        begun = time.process_time()
        read = [file.images(file.header.image_ids, cell.layer) for file in cell.files]
        features[cell.settings.features.precision] = np.concatenate(read)
        print(f"{cell.settings.features.precision}: {time.process_time() - begun:.0f} s of CPU")
        return run(cell)

    where: Where = resolve("auto")
    scores = {
        precision: patchlens.evaluate(
            model, data, segmentation, precision=precision, linear={"c": [1.0]}
        ).metrics
        for precision in [FP32, *OTHERS[where]]
    }
    lines = []
    for precision, of in scores.items():
        off = features[precision] - features[FP32]
        share = np.linalg.norm(off) / np.linalg.norm(features[FP32])
        for head in ("knn", "linear"):
            one, base = (s[head]["raw"] for s in (of, scores[FP32]))
            ends = f"[{100 * one['pixel_miou_ci_low']:.2f}, {100 * one['pixel_miou_ci_high']:.2f}]"
            moved = 100 * (one["pixel_miou"] - base["pixel_miou"])
            score = f"{100 * one['pixel_miou']:.2f} {ends}"
            lines.append((precision, f"{share:.1e}", head, score, f"{moved:+.2f}"))
    heads = ("precision", "features off by", "head", "pixel mIoU (%)", "moved, points")
    print(tabulate(lines, heads, "github", disable_numparse=True))
    print(f"{describe(where)}; grid {rows}×{columns}; {len(features[FP32])} images")


if __name__ == "__main__":
    main(*sys.argv[1:])
