"""Stage weights: the weights of a model from any source, as one checked file."""

from collections.abc import Mapping

from patchlens import paths
from patchlens.backbones.convert import convert
from patchlens.files import whole_file
from patchlens.names import ModelName
from patchlens.progress import log
from patchlens.settings.models import Model
from patchlens.settings.sources import Elsewhere


def run(
    model: ModelName,
    settings: Model,
    norm: bool = True,
    sources: Mapping[str, Elsewhere] | None = None,
) -> None:
    """Write data/weights/<model>.safetensors, and its origin to metrics/weights/<model>.json.

    `norm` is `features.norm`: a model without a final norm cannot follow it.
    The second file exists from an earlier run: the same source must give the same file again.
    """
    record = paths.weights_record(model)
    with whole_file(paths.weights(model)) as partial:
        came = convert(
            model,
            settings,
            partial,
            work=paths.WORK / "weights",
            norm=norm,
            record=record,
            code=paths.model_code(model),
            sources=sources,
        )
    came.write(record)
    log.info("%s: weights %s", model, came.tensors[:12])
