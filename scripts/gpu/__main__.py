"""All that needs a GPU, in one call: see run.py, or one of its parts in a process of its own."""

import sys
from importlib import import_module
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    part = sys.argv[1] if sys.argv[1:2] and sys.argv[1] in ("parity", "bench", "train") else "run"
    sys.exit(import_module(f"gpu.{part}").main(sys.argv[1 + (part != "run") :]))
