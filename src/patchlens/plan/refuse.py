"""What a stage would refuse hours later, found from the settings and the shapes of the models."""

from collections.abc import Iterator, Mapping

from patchlens.backbones.convert import check_pinned
from patchlens.backbones.families import check_library
from patchlens.backbones.pretrained import check_tag
from patchlens.backbones.rules import RULES
from patchlens.datasets.minicity import SPLITS
from patchlens.errors import FitError, SettingsError
from patchlens.features.variants import check_width, pruned_counts
from patchlens.names import DatasetName, ModelName, nearest
from patchlens.paths import PARAMS
from patchlens.plan import folders
from patchlens.plan.cost import CellCost
from patchlens.plan.images import Images
from patchlens.plan.models import Shape
from patchlens.settings.datasets import Minicity
from patchlens.settings.load import Settings
from patchlens.settings.models import FileModel, HubModel, Model, TimmModel
from patchlens.tasks.identification.settings import Identification
from patchlens.tasks.segmentation.settings import Segmentation
from patchlens.tasks.sweep.settings import Sweep
from patchlens.tasks.tracking.settings import Tracking


def check_source(name: ModelName, model: Model) -> None:
    """Refuse a source of weights that the stage `weights` would refuse.

    Raises:
        SettingsError: a tag that timm has no weights for, a file without its hash, an unknown rule,
            a missing library.
    """
    where = f"{PARAMS}: models.{name}"
    if isinstance(model, TimmModel):
        check_tag(where, model.tag)
    if isinstance(model, HubModel):
        check_library(where)
    if isinstance(model, FileModel):
        for rule in model.mapping.rules:
            if rule not in RULES:
                known = nearest(rule, RULES)
                raise SettingsError(f"{where}.mapping.rules: '{rule}' is unknown; {known}")
        check_pinned(where, model)


def check(
    settings: Settings,
    shapes: Mapping[ModelName, Shape],
    images: Mapping[DatasetName, Images],
    cells: list[CellCost],
) -> None:
    """Refuse settings that a stage would refuse.

    Raises:
        SettingsError: one line per problem.
    """
    problems = [
        *_widths(settings, shapes),
        *_grids(settings, images, cells),
        *_made(settings),
        *folders.problems(settings),
    ]
    if problems:
        found = dict.fromkeys(f"{PARAMS}: {problem}" for problem in problems)
        raise SettingsError("\n".join(found))


def _widths(settings: Settings, shapes: Mapping[ModelName, Shape]) -> Iterator[str]:
    """Variants that would keep no dimension of a model, and sweeps that would drop none."""
    prune, sweep = settings.prune, settings.section(Sweep)
    swept = bool(sweep.datasets)
    fitted = {*settings.variants, *(sweep.rivals if swept else [])}
    for name, shape in shapes.items():
        width = shape.normed if settings.features.norm else shape.width
        try:
            check_width(prune, fitted, width)
        except FitError as error:
            yield f"{error} (model '{name}')"
        if (swept or prune.select == "auto") and not pruned_counts(prune, width):
            yield (
                f"prune.choices: none of them prunes between 1 and {width - 1} of the {width} "
                f"dimensions of '{name}'; add one that does"
            )


def _grids(
    settings: Settings, images: Mapping[DatasetName, Images], cells: list[CellCost]
) -> Iterator[str]:
    """Pooled squares and numbers of neighbours that the grid of a model has no room for."""
    identification = settings.section(Identification)
    segmentation = settings.section(Segmentation)
    for cell in cells:
        if cell.grid is None:
            continue
        pooled = cell.dataset in identification.datasets
        if pooled and (problem := identification.too_coarse(cell.grid)):
            yield f"{problem} ('{cell.model}' on '{cell.dataset}')"
        pools = images[cell.dataset].pools
        if cell.dataset in segmentation.datasets and pools:
            patches = pools * cell.grid[0] * cell.grid[1]
            if problem := segmentation.too_many_neighbours(patches):
                yield f"{problem} ('{cell.model}' on '{cell.dataset}')"


def _made(settings: Settings) -> Iterator[str]:
    """Splits and numbers of images that minicity does not have."""
    used = set(settings.extract.datasets)
    for name, dataset in settings.datasets.items():
        if not isinstance(dataset, Minicity) or name not in used:
            continue
        for part in ("support", "query"):
            chosen = getattr(dataset, part)
            for split in chosen.split.split("+") if chosen is not None else ():
                where = f"datasets.{name}.{part}"
                if split not in SPLITS:
                    yield f"{where}.split: '{split}' is unknown; {nearest(split, SPLITS)}"
                    continue
                still = SPLITS[split].frames == 1
                rendered = dataset.stills if still else dataset.videos
                if not rendered:
                    key = "stills" if still else "videos"
                    yield f"{where}.split: '{split}' is empty, because {key} is 0; raise {key}"
                if still and name in settings.section(Tracking).datasets:
                    yield f"{where}.split: '{split}' has no videos, which tracking needs"
                if still and (chosen.sequences or getattr(chosen, "unit", "") == "sequence"):
                    yield f"{where}: split '{split}' has no sequences; use images"
                if chosen.per == "group":
                    yield f"{where}.per: '{split}' has no groups; use total"
                yield from _too_many(where, chosen.images, rendered * SPLITS[split].frames, chosen)


def _too_many(where: str, asked: int | str, rendered: int, chosen: object) -> Iterator[str]:
    """More images of one split than are rendered."""
    whole = "+" not in getattr(chosen, "split", "") and getattr(chosen, "sequences", None) is None
    if whole and isinstance(asked, int) and 0 < rendered < asked:
        yield f"{where}.images: {asked} is more than the {rendered} that are rendered"
