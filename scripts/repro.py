"""`dvc repro` with several stages at once: the models are dealt to DVC processes side by side.

DVC runs one stage at a time, and lets several processes of itself work in one repository; datasets
do not depend on each other, nor do models, nor most tasks. First come the datasets side by side,
then the features of the models, then the tasks, the cores split between them; then what is made of
all. Images a second are thus measured on a share of the cores, beside another model.
"""

import os
import subprocess
import sys
from pathlib import Path

from patchlens.errors import PatchlensError
from patchlens.stages.code import check_names

OF_DATASET = ("render", "fetch", "manifest", "index")
OF_FEATURES = ("weights", "extract", "prune", "variance")
NEEDS = {"sweep": "segmentation", "identification": "degrade"}  # tasks that follow another one
# numpy and torch take the second and the third before the first, where they are set.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
REPRO = ["dvc", "--wait-for-lock", "repro"]


def main(jobs: int) -> None:
    check_names(Path("dvc.yaml"))  # before DVC puts them into a command
    found = subprocess.run(
        ["dvc", "stage", "list", "--name-only"], check=True, stdout=subprocess.PIPE, text=True
    )
    stages = found.stdout.split()  # in the order of dvc.yaml, in which each follows what it needs
    each = [stage for stage in stages if "@" in stage]
    known = (*OF_DATASET, *OF_FEATURES)
    subprocess.run([*REPRO, "code"], check=True)
    side_by_side({stage: first_name(stage) for stage in each if kind(stage) in OF_DATASET}, jobs)
    side_by_side({stage: first_name(stage) for stage in each if kind(stage) in OF_FEATURES}, jobs)
    side_by_side({stage: task(stage) for stage in each if kind(stage) not in known}, jobs)
    subprocess.run(["dvc", "repro"], check=True)


def side_by_side(unit_of: dict[str, str], jobs: int) -> None:
    """Deal units of stages to as many processes, one by one in turn; wait for all."""
    units = list(dict.fromkeys(unit_of.values()))
    dealt = [set(units[i::jobs]) for i in range(min(jobs, len(units)))]
    threads = max(1, len(os.sched_getaffinity(0)) // jobs)
    running = [
        subprocess.Popen(
            [*REPRO, "--single-item", *(stage for stage, unit in unit_of.items() if unit in own)],
            env=os.environ | dict.fromkeys(THREADS, str(threads)),
        )
        for own in dealt
    ]
    codes = [process.wait() for process in running]
    if any(codes):
        sys.exit("a stage failed, see above: mend it, and what is done is not done again")


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
    try:
        main(int(sys.argv[1]))
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
    except PatchlensError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
