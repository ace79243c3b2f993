"""The program `patchlens`, also as `python -m patchlens`."""

import sys

from patchlens.processes import Interrupted, interruptible


def main() -> None:
    """Run the command line; a signal during its imports, which take a second, ends it too."""
    try:
        with interruptible():
            from patchlens.cli.commands import app

            app()
    except Interrupted as stop:
        stop.say()
        sys.exit(stop.exit_code)


if __name__ == "__main__":
    main()
