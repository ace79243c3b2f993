"""DVC plots of the existing runs: all objectives in one figure.

Not in pretrain/dvc.yaml: `dvc plots` in a clone would miss runs that do not exist yet.
"""

from pathlib import Path

from patchlens.files import write_text
from patchlens.settings.yaml_text import dumped

TITLES = {
    "loss": "loss",
    "learning_rate": "learning rate",
    "probe_miou": "patch mIoU of the k-NN probe",
}


def write(runs: Path) -> None:
    """Write `runs`/dvc.yaml for `dvc plots show`: one plot each of loss, rate and probe."""
    plots = []
    for name, title in TITLES.items():
        paths = sorted(runs.glob(f"*/dvclive/plots/metrics/{name}.tsv"))
        lines = {path.relative_to(runs).as_posix(): name for path in paths}
        plots.append({name: {"x": "step", "y": lines, "title": title, "x_label": "step"}})
    write_text(dumped({"plots": plots}), runs / "dvc.yaml")
