"""The predictions of what the inner folds chose, in place of those of k-NN."""

from typing import TYPE_CHECKING

from patchlens.display.pictures import Pictures
from patchlens.names import DatasetName
from patchlens.stored import read_csv
from patchlens.tasks.segmentation import predictions
from patchlens.tasks.segmentation.few_shot import Query, Support
from patchlens.tasks.segmentation.inputs import Inputs
from patchlens.tasks.selection.choose import Candidate
from patchlens.tasks.selection.run import fitted, options_of, shots_of

if TYPE_CHECKING:
    from patchlens.settings.load import Settings


def write(dataset: DatasetName, settings: "Settings", pictures: Pictures) -> None:
    """Write `predictions.json`; each support set predicts with its own choice."""
    how = "the layer, variant and head that the inner folds chose"
    predictions.write(pictures, settings, dataset, by_choice, how)


def by_choice(inputs: Inputs, support: Support, query: Query, seen: predictions.Seen) -> None:
    """Predict the query with what was chosen within the support set."""
    cell, segmentation = inputs.cell, inputs.segmentation
    sets = read_csv(cell.folder / "selection_sets.csv", "set", "layer", "variant", "head", "c")
    [row] = sets[sets["set"] == support.seed].to_dict("records")
    choice = Candidate(int(row["layer"]), row["variant"], str(row["head"]), float(row["c"]))
    options = options_of(cell, segmentation)
    fitted(choice, support, shots_of(inputs), segmentation, options, query, seen)
