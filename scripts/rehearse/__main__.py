"""A rehearsal of presets: `python scripts/rehearse [PRESET ...]`, see run.py."""

import sys
from importlib import import_module
from pathlib import Path

if __name__ == "__main__":
    root = Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(root / "scripts"), str(root / "tests")]
    run = import_module("rehearse.run")
    sys.exit(run.lane(*sys.argv[2:]) if sys.argv[1:2] == ["lane"] else run.main())
