"""What T3 writes of its records."""

import pandas as pd

from patchlens.tasks.resample import SharedResampler
from patchlens.tasks.retrieval.run import units
from patchlens.tasks.retrieval.summary import all_records, by_size
from tasks.scene import objects


def test_objects_of_an_image_are_a_unit_where_no_instance_recurs():
    """140 objects of 14 images, as in FAIR1M, are 14 units."""
    rows = [0, 0, 1, 1, 2]
    name, unit = units(objects(instance=[7, 8, 9, 10, 11], row=rows))
    assert (name, unit.tolist()) == ("image", rows)
    name, unit = units(objects(instance=[7, 8, 7, 9, 8], row=rows))
    assert (name, unit.tolist()) == ("instance", [7, 8, 7, 9, 8])


def test_sizes_ascend_within_variants_in_the_order_of_the_settings():
    rows = [
        {"head": "instance", "variant": v, "draw": 0, "unit": 0, "query": q, "size": size}
        | {"ap": q / 4, "hit1": 0.0, "hit5": 1.0, "hit10": 1.0}
        for q, size in enumerate([">16", "<1", "4–16", "<1"])
        for v in ("prune", "raw")
    ]
    records = all_records([pd.DataFrame(rows)])
    found = by_size(records, ["raw", "prune"], SharedResampler(20, 0))
    assert found["variant"].tolist() == ["raw"] * 3 + ["prune"] * 3
    assert found["size"].tolist() == ["<1", "4–16", ">16"] * 2
    assert found["map"].tolist() == [0.5, 0.5, 0] * 2
    assert found["queries"].tolist() == [2, 1, 1] * 2
