"""Where everything lies, relative to the folder that holds params.yaml and dvc.yaml."""

from pathlib import Path

from patchlens.settings.datasets import Dataset, Minicity

PARAMS = Path("params.yaml")
CLAIMS = Path("claims.yaml")
WORK = Path(".work")  # partial work: ignored by Git and DVC, safe to delete
CELLS = Path("metrics/cells")
TABLES = Path("metrics/tables")


def raw(dataset: str) -> Path:
    """What fetch wrote: the rendered dataset, or the manifest of a placed one."""
    return Path("data/raw") / dataset


def images(dataset: str, settings: Dataset) -> Path:
    """The folder that the paths of the index are relative to: the user's, or what fetch wrote."""
    return raw(dataset) if isinstance(settings, Minicity) else Path(settings.root)


def index(dataset: str) -> Path:
    """The index folder of a dataset."""
    return Path("data/index") / dataset


def weights(model: str) -> Path:
    """Converted weights with their provenance."""
    return Path("data/weights") / f"{model}.safetensors"


def features(dataset: str, model: str) -> Path:
    """The folder of feature files, one a split."""
    return Path("data/features") / dataset / model


def moments(dataset: str, model: str) -> Path:
    """Per-image moments and the ranking of dimensions."""
    return Path("data/moments") / dataset / f"{model}.safetensors"


def cell(dataset: str, model: str) -> Path:
    """The folder of metrics of one model on one dataset."""
    return CELLS / dataset / model
