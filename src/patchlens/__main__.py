"""The program `patchlens`, also as `python -m patchlens`."""

import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from patchlens.processes import Interrupted, interruptible

COMPILER = ("torch._dynamo", "torch._dynamo.utils")


def main() -> None:
    """Run the command line; a signal during its imports, which take a second, ends it too."""
    try:
        with interruptible():
            start_sooner()
            from patchlens.cli.commands import app

            app()
    except Interrupted as stop:
        stop.say()
        sys.exit(stop.exit_code)


def start_sooner() -> None:
    """Leave out what libraries import or look for at every start, and no command needs."""
    # Plugins of pydantic, which it looks for in all installed packages.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    for name in COMPILER:
        sys.modules.setdefault(name, Uncompiled(name))


class Uncompiled(ModuleType):
    """Stands for a module of torch's compiler until something is compiled, then gives way to it.

    The compiler takes as long to import as all of torch. timm, torchvision and the counter of FLOPs
    import it only to name functions that it must leave alone.
    """

    @staticmethod
    def disable(function: Any = None, *_: Any, **__: Any) -> Any:
        """What the compiler leaves alone stays as it is."""
        return Uncompiled.disable if function is None else function

    @staticmethod
    def is_compile_supported(device: str) -> bool:
        """Ask the compiler, as torchvision does where it would compile."""
        real: Callable[[str], bool] = _real(COMPILER[1]).is_compile_supported
        return real(device)

    def __getattr__(self, name: str) -> Any:
        package = self.__name__ == COMPILER[0]
        if name.startswith("__") and not (package and name == "__path__"):
            raise AttributeError(name)  # to whoever looks through all modules
        return getattr(_real(self.__name__), name)


def _real(name: str) -> Any:
    for stands in COMPILER:
        if isinstance(sys.modules.get(stands), Uncompiled):
            del sys.modules[stands]
    __import__(name)
    return sys.modules[name]


if __name__ == "__main__":
    main()
