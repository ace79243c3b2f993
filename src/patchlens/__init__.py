"""How good are the frozen patch features of vision backbones?

From Python: `load_backbone` or `wrap` a model, `load_dataset` or `from_arrays`, then `evaluate`.
Nothing heavy is imported before one of these names is used. Nothing is written unless asked.
"""

from importlib import import_module
from typing import Any

_NAMES = {  # public name -> the module that has it; the stub beside this file says the same
    "Data": "api.data",
    "from_arrays": "api.data",
    "load_dataset": "api.data",
    "evaluate": "api.evaluation",
    "SegmentationProbe": "api.evaluation",
    "Variant": "api.features",
    "extract": "api.features",
    "load_backbone": "api.models",
    "Result": "api.result",
    "PatchlensError": "errors",
    "wrap": "backbones.wrap",
}
__all__ = sorted(_NAMES)


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'patchlens' has no name '{name}'")
    found = globals()[name] = getattr(import_module(f"patchlens.{_NAMES[name]}"), name)
    return found


def __dir__() -> list[str]:
    return __all__
