"""Measure an own module on an own folder with the k-NN classifier of CAPI's evaluation."""

import sys
from unittest.mock import MagicMock

import numpy as np
import torch
from einops import rearrange
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms as T
from torchvision.transforms import InterpolationMode as Mode

# Its module imports cuML, which needs CUDA, and the package `datasets`; k-NN uses neither.
for name in ("cuml", "cuml.linear_model", "datasets", "datasets.formatting"):
    sys.modules[name] = MagicMock()
from eval_segmentation import KNNClassifier, mIoU  # noqa: E402


class Folder(Dataset):
    """Images and masks of a split."""

    def __init__(self, folder, split):
        self.folder, self.names = folder, (folder / f"{split}.txt").read_text().split()
        normalise = T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        self.image = T.Compose([T.Resize((224, 224), Mode.BICUBIC), T.ToTensor(), normalise])
        self.mask = T.Compose([T.Resize((224, 224), Mode.NEAREST), np.array, torch.tensor])

    def __len__(self):
        return len(self.names)

    def __getitem__(self, i):
        image = Image.open(self.folder / f"images/{self.names[i]}.png").convert("RGB")
        mask = Image.open(self.folder / f"masks/{self.names[i]}.png")
        return self.image(image), self.mask(mask)


def extract(model, folder, split):
    features, labels = [], []
    for images, masks in DataLoader(Folder(folder, split), batch_size=8):
        features.append(model(images).flatten(0, 1))
        labels.append(rearrange(masks, "b (h p) (w q) -> (b h w) (p q)", p=14, q=14))
    return torch.cat(features), torch.cat(labels)


def measure(model, folder, classes):
    classifier = KNNClassifier(ignore_labels=(255,), device="cpu")
    classifier.num_neighbors, classifier.distance = 10, "cosine"
    classifier.fit(*extract(model, folder, "support"))
    features, labels = extract(model, folder, "query")
    return mIoU(labels, classifier.predict(features), (255,))
