"""The work that every tool gets: an own module, and an own folder of images and masks."""

import time
from pathlib import Path

import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from timm.models.vision_transformer import checkpoint_filter_fn
from torch import Tensor, nn

import patchlens as pl

ARCH = "vit_small_patch14_dinov2"
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
PATCH, GRID, SIZE, WIDTH = 14, 16, 224, 384
SUPPORT, QUERY = 30, 60  # images
BATCH, K = 8, 10


class Own(nn.Module):
    """Stands for a module of yours: images [B, 3, H, W] -> patch tokens [B, N, 384].

    `seconds` counts how long its forward passes took, since they cost the same in every tool.
    """

    def __init__(self, weights: Path | None) -> None:
        super().__init__()
        torch.manual_seed(0)
        vit = timm.create_model(ARCH, img_size=SIZE, num_classes=0, dynamic_img_size=True)
        if weights is not None:
            vit.load_state_dict(checkpoint_filter_fn(load_file(weights), vit))
        self.vit, self.seconds = vit.eval(), 0.0

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Tokens in rows from the top left, without class token."""
        start = time.process_time()
        tokens = self.vit.forward_features(images)[:, self.vit.num_prefix_tokens :]
        self.seconds += time.process_time() - start
        return tokens


def make_folder(out: Path, camvid: Path | None) -> int:
    """images/, masks/ (255: void), support.txt, query.txt, dataset.yaml; the number of classes.

    From CamVid in its official layout, or from minicity, rendered here.
    """
    kind, more = ("camvid", {}) if camvid else ("minicity", {"stills": QUERY})
    data = pl.load_dataset(kind, camvid, shots="all", **more)
    index, names = data.index, [*data.index.classes]
    for folder in ("images", "masks"):
        (out / folder).mkdir(parents=True)
    for split, count in (("support", SUPPORT), ("query", QUERY)):
        ids = sorted(getattr(index, split)["image_id"].unique())
        chosen = [ids[i * len(ids) // count] for i in range(count)]
        stems = [f"{split}{number:02d}" for number in range(count)]
        for stem, image_id in zip(stems, chosen, strict=True):
            index.image(image_id).save(out / f"images/{stem}.png")
            Image.fromarray(index.mask(image_id)).save(out / f"masks/{stem}.png")
        (out / f"{split}.txt").write_text("\n".join(stems) + "\n")
    (out / "dataset.yaml").write_text(
        f"classes: [{', '.join(names)}]\nignore: [255]\n"
        "splits: {support: support.txt, query: query.txt}\n"
    )
    return len(names)
