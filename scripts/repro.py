"""`dvc repro` with several stages at once: the models are dealt to DVC processes side by side.

DVC runs one stage at a time, and lets several processes of itself work in one repository; models
do not depend on each other. First comes what they share, and their features, one model at a time
on all cores, so that images a second are those of a machine to itself; then all else of each
model, the cores split; then what is made of all of them.
"""

import os
import subprocess
import sys

SHARED = ("code", "render", "fetch", "manifest", "index", "weights", "extract")
REPRO = ["dvc", "--wait-for-lock", "repro"]


def main(jobs: int) -> None:
    found = subprocess.run(
        ["dvc", "stage", "list", "--name-only"], check=True, stdout=subprocess.PIPE, text=True
    )
    stages = found.stdout.split()  # in the order of dvc.yaml, in which each follows what it needs
    first = [stage for stage in stages if stage.split("@")[0] in SHARED]
    later = [stage for stage in stages if "@" in stage and stage not in first]
    subprocess.run([*REPRO, *first], check=True)
    models = list(dict.fromkeys(map(model_of, later)))
    dealt = [set(models[i::jobs]) for i in range(min(jobs, len(models)))]
    threads = max(1, len(os.sched_getaffinity(0)) // jobs)
    running = [
        subprocess.Popen(
            [*REPRO, "--single-item", *(stage for stage in later if model_of(stage) in own)],
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
        )
        for own in dealt
    ]
    codes = [process.wait() for process in running]
    if any(codes):
        sys.exit("a stage failed, see above: mend it, and what is done is not done again")
    subprocess.run(["dvc", "repro"], check=True)


def model_of(stage: str) -> str:
    """`dino` of `sweep@dino-minicity`; names have no hyphen."""
    return stage.partition("@")[2].partition("-")[0]


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]))
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
