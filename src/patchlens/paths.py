"""Where everything lies, relative to the folder that holds params.yaml and dvc.yaml."""

from pathlib import Path

from patchlens.settings.datasets import Collected, Dataset

PARAMS = Path("params.yaml")
CLAIMS = Path("claims.yaml")
WORK = Path(".work")  # partial work: ignored by Git and DVC, safe to delete
CELLS = Path("metrics/cells")
TABLES = Path("metrics/tables")
VERDICTS = Path("metrics/claims.json")
REPORTS = Path("reports")
FIGURES = Path("reports/figures")
RESULTS = Path("reports/results")
SITE = Path("reports/site")
COMPARISON = Path("reports/compare")
EXPLORER = Path("data/explorer")


def code(stage: str, graph: Path = Path()) -> Path:
    """The files that a stage uses, each with its hash; `graph` is the folder of its dvc.yaml."""
    return Path("data/code") / graph / f"{stage}.txt"


def raw(dataset: str) -> Path:
    """The dataset that render or fetch brought, or the manifest of a placed one."""
    return Path("data/raw") / dataset


def images(dataset: str, settings: Dataset) -> Path:
    """The folder that the paths of the index are relative to: the user's `root`, or `raw`."""
    if isinstance(settings, Collected) and settings.root is not None:
        return Path(settings.root)
    return raw(dataset)


def index(dataset: str) -> Path:
    """The index folder of a dataset."""
    return Path("data/index") / dataset


def why(dataset: str, model: str) -> Path:
    """The folder of the page on one model."""
    return REPORTS / "why" / f"{dataset}-{model}"


def shown(task: str, dataset: str, model: str) -> Path:
    """The picture of what a model finds in a task."""
    return REPORTS / task / f"{dataset}-{model}.png"


def sheet(dataset: str) -> Path:
    """The contact sheet of a dataset."""
    return REPORTS / "datasets" / f"{dataset}.png"


def weights(model: str) -> Path:
    """Converted weights with their provenance."""
    return Path("data/weights") / f"{model}.safetensors"


def weights_record(model: str) -> Path:
    """What the weights of a model were when they first came, for Git."""
    return Path("metrics/weights") / f"{model}.json"


def features(dataset: str, model: str) -> Path:
    """The folder of feature files, one a split."""
    return Path("data/features") / dataset / model


def degraded(dataset: str, model: str) -> Path:
    """Features of degraded copies."""
    return Path("data/degraded") / dataset / f"{model}.safetensors"


def moments(dataset: str, model: str) -> Path:
    """Per-image moments and the ranking of dimensions."""
    return Path("data/moments") / dataset / f"{model}.safetensors"


def tracks(dataset: str, model: str) -> Path:
    """Linked videos, or propagated masks, of one model on one dataset."""
    return Path("data/tracks") / dataset / model


def cell(dataset: str, model: str) -> Path:
    """The folder of metrics of one model on one dataset."""
    return CELLS / dataset / model
