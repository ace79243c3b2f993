from patchlens.api.data import Data as Data
from patchlens.api.data import from_arrays as from_arrays
from patchlens.api.data import load_dataset as load_dataset
from patchlens.api.evaluation import SegmentationProbe as SegmentationProbe
from patchlens.api.evaluation import evaluate as evaluate
from patchlens.api.features import Variant as Variant
from patchlens.api.features import extract as extract
from patchlens.api.models import load_backbone as load_backbone
from patchlens.api.result import Result as Result
from patchlens.backbones.wrap import wrap as wrap
from patchlens.errors import PatchlensError as PatchlensError

__all__ = [
    "Data",
    "PatchlensError",
    "Result",
    "SegmentationProbe",
    "Variant",
    "evaluate",
    "extract",
    "from_arrays",
    "load_backbone",
    "load_dataset",
    "wrap",
]
