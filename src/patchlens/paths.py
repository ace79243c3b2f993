"""The paths of all files, relative to the folder that contains params.yaml and dvc.yaml.

Functions of a dataset and a model take both by keyword, so that no call can swap them.
"""

from pathlib import Path

from patchlens.names import DatasetName, ModelName
from patchlens.settings.datasets import Collected, Dataset

PARAMS = Path("params.yaml")
CLAIMS = Path("claims.yaml")
WORK = Path(".work")  # partial results: ignored by Git and DVC, safe to delete
COST = WORK / "cost"  # outside every dependency and output
MACHINE = "machine.json"  # beside metrics: the machine that computed them
CELLS = Path("metrics/cells")
TABLES = Path("metrics/tables")
WEIGHTS_RECORDS = Path("metrics/weights")
VERDICTS = Path("metrics/claims/claims.json")
CLAIMS_TABLE = Path("metrics/claims/claims")  # without the suffix of its format
REPORTS = Path("reports")
SITE = Path("reports/site")
COMPARISON = Path("reports/compare")
EXPLORER = Path("data/explorer")


def code(graph: Path = Path()) -> Path:
    """The lists of files that stages use, with hashes; `graph` is the folder of their dvc.yaml."""
    return Path("data") / "-".join(["code", *graph.parts])


def model_code(model: ModelName, folder: Path | None = None) -> Path:
    """The list of what the code of a model uses; empty for models without code of their own."""
    return (folder or code()) / f"model_{model}.txt"


def raw(dataset: DatasetName) -> Path:
    """The dataset as rendered or downloaded, or the manifest of a dataset that the user placed."""
    return Path("data/raw") / dataset


def images(dataset: DatasetName, settings: Dataset) -> Path:
    """The folder to which paths in the index are relative: the user's `root`, or `raw`."""
    if isinstance(settings, Collected) and settings.root is not None:
        return Path(settings.root)
    return raw(dataset)


def index(dataset: DatasetName) -> Path:
    """The index folder of a dataset."""
    return Path("data/index") / dataset


def shown(task: str, *, dataset: DatasetName, model: ModelName) -> Path:
    """The picture of a model's answers in a task."""
    return REPORTS / task / f"{dataset}-{model}.png"


def sheet(dataset: DatasetName) -> Path:
    """The contact sheet of a dataset."""
    return REPORTS / "datasets" / f"{dataset}.png"


def weights(model: ModelName) -> Path:
    """Converted weights with their provenance."""
    return Path("data/weights") / f"{model}.safetensors"


def weights_record(model: ModelName) -> Path:
    """The record of a model's weights at their first download, for Git."""
    return WEIGHTS_RECORDS / f"{model}.json"


def features(*, dataset: DatasetName, model: ModelName) -> Path:
    """The folder of feature files, one per split."""
    return Path("data/features") / dataset / model


def degraded(*, dataset: DatasetName, model: ModelName) -> Path:
    """Features of degraded copies."""
    return Path("data/degraded") / dataset / f"{model}.safetensors"


def moments(*, dataset: DatasetName, model: ModelName) -> Path:
    """Per-image moments and the ranking of dimensions."""
    return Path("data/moments") / dataset / f"{model}.safetensors"


def knn(*, dataset: DatasetName, model: ModelName) -> Path:
    """Indexes of the banks of T1, one per bank, and what is known of them."""
    return Path("data/knn") / dataset / model


def tracks(*, dataset: DatasetName, model: ModelName) -> Path:
    """Linked videos, or propagated masks, of one model on one dataset."""
    return Path("data/tracks") / dataset / model


def cell(*, dataset: DatasetName, model: ModelName) -> Path:
    """The folder of metrics of one model on one dataset."""
    return CELLS / dataset / model


def cost(*, dataset: DatasetName, model: ModelName) -> Path:
    """Speed and machine of the extraction: they vary from run to run, so they are not a result."""
    return COST / dataset / f"{model}.json"


def current(name: str) -> str:
    """The present name of a file below metrics/, which older revisions may have elsewhere."""
    moved = {"claims.json": "claims/claims.json", "tables/claims.csv": "claims/claims.csv"}
    return moved.get(name, name)
