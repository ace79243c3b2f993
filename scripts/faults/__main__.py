"""Faults on purpose, and what came of them: `python scripts/faults PART ...`.

Each part is a module of this folder with a `main(arguments)`; `--help` after a part describes it.
"""

import sys
from importlib import import_module
from pathlib import Path

PARTS = ("kills", "cases")

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    part, *arguments = sys.argv[1:] or ["none"]
    if part not in PARTS:
        sys.exit(f"{part}: no such part; one of: {', '.join(PARTS)}")
    sys.exit(import_module(f"faults.{part}").main(arguments))
