"""Stage weights: a model's weights, whatever their source, as one checked file."""

from patchlens import paths
from patchlens.backbones.convert import convert
from patchlens.files import whole_file
from patchlens.progress import log
from patchlens.settings.models import Model


def run(name: str, model: Model) -> None:
    """Write data/weights/<name>.safetensors."""
    with whole_file(paths.weights(name)) as partial:
        digest = convert(name, model, partial)
    log.info("%s: weights %s", name, digest[:12])
