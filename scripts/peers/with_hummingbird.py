"""Measure an own module on an own folder with open-hummingbird-eval."""

from hbird.hbird_eval import HbirdEvaluation
from hbird.models import FeatureExtractorSimple
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms as T
from torchvision.transforms import InterpolationMode as Mode


class Folder(Dataset):
    """Images and masks of a split."""

    def __init__(self, folder, split):
        self.folder, self.names = folder, (folder / f"{split}.txt").read_text().split()
        normalise = T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        self.image = T.Compose([T.Resize((224, 224), Mode.BICUBIC), T.ToTensor(), normalise])
        self.mask = T.Compose([T.Resize((224, 224), Mode.NEAREST), T.ToTensor()])

    def __len__(self):
        return len(self.names)

    def __getitem__(self, i):
        image = Image.open(self.folder / f"images/{self.names[i]}.png").convert("RGB")
        mask = Image.open(self.folder / f"masks/{self.names[i]}.png")
        return self.image(image), self.mask(mask)  # class ids / 255, as it expects


def measure(model, folder, classes):
    extractor = FeatureExtractorSimple(model, lambda own, images: (own(images), None), 16, 384)
    train, test = (DataLoader(Folder(folder, s), batch_size=8) for s in ("support", "query"))
    evaluation = HbirdEvaluation(extractor, train, num_classes=classes, n_neighbours=10)
    return evaluation.evaluate(test, eval_spatial_resolution=16)
