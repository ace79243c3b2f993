"""Write metrics/machine.json: the CPU type, device and threads that made the metrics.

`patchlens compare` takes its tolerance from it. It is removed where this is not known: where the
extraction of a cell was not run in this folder, or where cells were extracted on several machines.
"""

import json
from typing import Any

import torch

from patchlens import paths
from patchlens.files import write_json
from patchlens.settings.load import load
from patchlens.stored import read_json
from patchlens.tasks.known import known


def main() -> None:
    settings = load(paths.PARAMS, known())
    costs = [
        paths.cost(dataset=dataset, model=model)
        for dataset in settings.extract.datasets
        for model in settings.models
    ]
    out = paths.CELLS.parent / paths.MACHINE
    there = [read_json(path, "") for path in costs if path.is_file()]
    machines = {json.dumps(machine(cost)) for cost in there}
    if len(there) == len(costs) and len(machines) == 1:
        write_json(json.loads(machines.pop()), out)
        return
    done = "removed" if out.exists() else "not written"
    out.unlink(missing_ok=True)
    print(
        f"{out}: {done}, since {paths.COST} knows the machine of {len(there)} of {len(costs)} "
        f"cells, and {len(machines)} machines; `make repro FORCE=1` runs all cells here"
    )


def machine(cost: dict[str, Any]) -> dict[str, str | int]:
    """What decides the last bits of numbers, from what a cell's extraction noted.

    Virtual machines call many CPUs by one name, so it is told apart by what torch uses of it.
    """
    capability = torch.backends.cpu.get_cpu_capability()
    on_cpu = cost["device"].startswith(cost["cpu"])
    return {
        "cpu": f"{cost['cpu']} ({capability})",
        "device": "cpu" if on_cpu else cost["device"],
        "threads": cost["threads"],
    }


if __name__ == "__main__":
    main()
