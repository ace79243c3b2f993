"""What stages import, loaded once: the fork server of `pipeline.workers` imports this module."""

import gc
from importlib import import_module

from patchlens.__main__ import start_sooner
from patchlens.plan.stages import STAGES

start_sooner()

# These are imported where a function uses them.
import faiss  # noqa: E402, F401
import safetensors.torch  # noqa: E402, F401
import scipy.optimize  # noqa: E402, F401
import timm  # noqa: E402, F401
import torch  # noqa: E402, F401

from patchlens.cli import commands  # noqa: E402, F401

for _stage in STAGES.values():
    import_module(f"patchlens.{_stage.module}")
gc.freeze()  # a collection in a fork would touch, and so copy, all of it
