"""Measure an own module on an own folder with VisBench: its linear segmentation probe."""

from tempfile import TemporaryDirectory

import visbench
from torchvision import transforms as T
from visbench.backbones.custom import CustomBackbone
from visbench.cache import FeatureCache
from visbench.data.dense import DenseFolderDataset, load_label_map


def split_of(folder, name):
    stems = (folder / f"{name}.txt").read_text().split()
    return DenseFolderDataset(
        folder, target_dir="masks", split=name, target_loader=load_label_map, stems=stems
    )


def measure(model, folder, classes):
    normalise = T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    preprocess = T.Compose([T.ToTensor(), normalise])
    backbone = CustomBackbone(model, preprocess, patch_size=14, device="cpu")
    with TemporaryDirectory() as cache:
        result = visbench.run(
            backbone,
            "semantic_segmentation",
            split_of(folder, "query"),
            split_of(folder, "support"),
            cache=FeatureCache(cache),
            batch_size=8,
            num_classes=classes,
            device="cpu",
        )
    return result.metrics["miou"]
