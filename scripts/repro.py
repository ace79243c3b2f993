"""`dvc repro` with several stages at once: the models are dealt to DVC processes side by side.

DVC runs one stage at a time, and lets several processes of itself work in one repository; datasets
do not depend on each other, nor do models. First come the datasets side by side, then the models,
the cores split between them; then what is made of all. Images a second are thus measured on a share
of the cores, beside another model.
"""

import os
import subprocess
import sys

OF_DATASET = ("render", "fetch", "manifest", "index")
REPRO = ["dvc", "--wait-for-lock", "repro"]


def main(jobs: int) -> None:
    found = subprocess.run(
        ["dvc", "stage", "list", "--name-only"], check=True, stdout=subprocess.PIPE, text=True
    )
    stages = found.stdout.split()  # in the order of dvc.yaml, in which each follows what it needs
    each = [stage for stage in stages if "@" in stage]
    of_dataset = [stage for stage in each if stage.split("@")[0] in OF_DATASET]
    subprocess.run([*REPRO, "code"], check=True)
    side_by_side(of_dataset, jobs)
    side_by_side([stage for stage in each if stage not in of_dataset], jobs)
    subprocess.run(["dvc", "repro"], check=True)


def side_by_side(stages: list[str], jobs: int) -> None:
    """Deal the stages by their model, or their dataset, to as many processes; wait for all."""
    names = list(dict.fromkeys(map(first_name, stages)))
    dealt = [set(names[i::jobs]) for i in range(min(jobs, len(names)))]
    threads = max(1, len(os.sched_getaffinity(0)) // jobs)
    running = [
        subprocess.Popen(
            [*REPRO, "--single-item", *(stage for stage in stages if first_name(stage) in own)],
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
        )
        for own in dealt
    ]
    codes = [process.wait() for process in running]
    if any(codes):
        sys.exit("a stage failed, see above: mend it, and what is done is not done again")


def first_name(stage: str) -> str:
    """`dino` of `sweep@dino-minicity`; names have no hyphen."""
    return stage.partition("@")[2].partition("-")[0]


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]))
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
