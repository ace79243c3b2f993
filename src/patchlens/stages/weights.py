"""Stage weights: a model's weights, whatever their source, as one checked file."""

from patchlens import paths
from patchlens.backbones.convert import convert
from patchlens.files import whole_file
from patchlens.progress import log
from patchlens.settings.models import Model


def run(name: str, model: Model) -> None:
    """Write data/weights/<name>.safetensors, and what it came from to metrics/weights/<name>.json.

    Of the second, the state of an earlier run is there: the same source must give the same file.
    """
    record = paths.weights_record(name)
    with whole_file(paths.weights(name)) as partial:
        came = convert(name, model, partial, work=paths.WORK / "weights", record=record)
    came.write(record)
    log.info("%s: weights %s", name, came.tensors[:12])
