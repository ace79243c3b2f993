"""A rehearsal of presets: `python scripts/rehearse [PRESET ...]`, see run.py."""

import sys
from importlib import import_module
from pathlib import Path

if __name__ == "__main__":
    root = Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(root / "scripts"), str(root / "tests")]
    sys.exit(import_module("rehearse.run").main())
