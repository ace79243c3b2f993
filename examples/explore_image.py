"""Which patches of an image look alike to a model? Writes a map of similarities to one patch."""

import sys

import numpy as np
from PIL import Image

import patchlens as pl

out = sys.argv[1] if len(sys.argv) > 1 else "similarity.png"
image = np.zeros((128, 192, 3), np.uint8)  # or np.asarray(Image.open("street.jpg").convert("RGB"))
image[:64] = (90, 150, 230)
image[64:] = (110, 110, 110)
image[80:112, 24:72] = image[72:104, 120:176] = (200, 40, 40)

backbone = pl.load_backbone({"source": "pixels", "patch_size": 8})  # or a name: dinov2_vits14
[features] = pl.extract(backbone, [image])  # [h, w, D]
row, column = 12, 5  # a patch of the left car
flat = features / np.linalg.norm(features, axis=-1, keepdims=True)
similarity = flat @ flat[row, column]
best = np.argsort(-similarity.ravel())[:10]
print("most similar patches (row, column):")
print([tuple(map(int, np.unravel_index(i, similarity.shape))) for i in best])

low, high = similarity.min(), similarity.max()
heat = ((similarity - low) / (high - low) * 255).round().astype(np.uint8)
shown = Image.fromarray(heat).resize((192, 128), Image.Resampling.NEAREST).convert("RGB")
Image.fromarray(np.hstack([image, np.asarray(shown)])).save(out)
print(f"the image beside its similarity to patch ({row}, {column}): {out}")
