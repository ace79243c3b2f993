"""`dvc repro` with several stages at once: parallel DVC processes share the models.

DVC runs one stage at a time, and lets several processes of itself work in one repository; datasets
do not depend on each other, nor do models, nor most tasks. First come the datasets side by side,
then the features of the models, then the tasks, the cores split between them; then what is made of
all. Images per second are thus measured on a share of the cores, beside another model.

With `--force` every stage is executed once, whether or not anything changed.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from patchlens.errors import PatchlensError
from patchlens.plan.code import check_names

OF_DATASET = ("render", "fetch", "manifest", "index")
OF_FEATURES = ("weights", "extract", "prune", "variance")
NEEDS = {"sweep": "segmentation", "identification": "degrade"}  # tasks that follow another one
# numpy and torch take the second and the third before the first, where they are set.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
REPRO = ["dvc", "--wait-for-lock", "repro"]


def main(jobs: int, force: bool) -> None:
    check_names(Path("dvc.yaml"))  # before DVC puts them into a command
    found = subprocess.run(
        ["dvc", "stage", "list", "--name-only"], check=True, stdout=subprocess.PIPE, text=True
    )
    stages = found.stdout.split()  # in the order of dvc.yaml, in which each follows what it needs
    each = [stage for stage in stages if "@" in stage]
    known = (*OF_DATASET, *OF_FEATURES)
    repro = [*REPRO, "--single-item", *(["--force"] if force else [])]
    subprocess.run([*repro, "code"], check=True)
    for unit_of in (
        {stage: first_name(stage) for stage in each if kind(stage) in OF_DATASET},
        {stage: first_name(stage) for stage in each if kind(stage) in OF_FEATURES},
        {stage: task(stage) for stage in each if kind(stage) not in known},
    ):
        side_by_side(repro, unit_of, jobs)
    # Unforced, DVC looks at the whole graph once more; forced, it would execute all of it again.
    of_all = [stage for stage in stages if stage not in (*each, "code")]
    subprocess.run([*repro, *of_all] if force else ["dvc", "repro"], check=True)


def side_by_side(repro: list[str], unit_of: dict[str, str], jobs: int) -> None:
    """Distribute units of stages over `jobs` processes in turn, and wait for all."""
    units = list(dict.fromkeys(unit_of.values()))
    dealt = [set(units[i::jobs]) for i in range(min(jobs, len(units)))]
    threads = max(1, len(os.sched_getaffinity(0)) // jobs)
    running = [
        subprocess.Popen(
            [*repro, *(stage for stage, unit in unit_of.items() if unit in own)],
            env=os.environ | dict.fromkeys(THREADS, str(threads)),
        )
        for own in dealt
    ]
    codes = [process.wait() for process in running]
    if any(codes):
        sys.exit(
            "a stage failed (see above): fix the cause and run this again; finished stages are kept"
        )


def kind(stage: str) -> str:
    """`sweep` of `sweep@dino-minicity`."""
    return stage.partition("@")[0]


def task(stage: str) -> str:
    """A task of a model with what it needs: `segmentation dino` of `sweep@dino-minicity`."""
    return f"{NEEDS.get(kind(stage), kind(stage))} {first_name(stage)}"


def first_name(stage: str) -> str:
    """`dino` of `sweep@dino-minicity`; names have no hyphen."""
    return stage.partition("@")[2].partition("-")[0]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("jobs", type=int, help="how many DVC processes work at once")
    parser.add_argument("--force", action="store_true", help="execute every stage, once")
    arguments = parser.parse_args()
    try:
        main(arguments.jobs, arguments.force)
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
    except PatchlensError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
