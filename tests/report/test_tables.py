from functools import partial

import pandas as pd
import pytest

from patchlens.report import tables
from patchlens.tasks.table import TASKS

TASK = TASKS["segmentation"]
caption = TASK.words.caption
markdown, latex = (partial(render, TASK) for render in (tables.markdown, tables.latex))

PROTOCOL = {
    "protocol_version": 3,
    "shots": 8,
    "shots_per": "total",
    "split_support": "sup_port",
    "split_query": "query",
    "seeds": 5,
    "query_images": 60,
    "query_patches": 30000,
    "query_units": 12,
    "query_unit": "sequence",
    "view": "whole images at 128×256",
    "grid": "16×32",
    "grid_rule": "equal",
    "layer": 7,
    "norm": "True",
    "dtype": "float16",
    "label": "majority",
    "k": 10,
    "distance": "cosine",
    "vote": "majority",
    "fit_on": "support",
    "prune_m": 0.26,
    "prune_select": "fixed",
    "prune_m_used": 50.0,
    "random_draws": 3,
    "torch": "9.9.9+a&b",
    "timm": "8.8.8",
    "numpy": "7.7.7",
    "parameters_m": 3.61,
    "gflops_per_image": 1.234,
    "bank_mb": 3.14,
}


def row(model, head, variant, miou, std, level, dataset="mini_city", **changes) -> dict:
    names = {"dataset": dataset, "model": model, "head": head, "variant": variant}
    names |= {"role": "rival"}
    scores = {"pixel_miou": miou, "pixel_miou_std": std, "pixel_miou_level_with_best": level}
    return names | scores | PROTOCOL | changes


@pytest.fixture
def rows() -> pd.DataFrame:
    return pd.DataFrame(
        [
            row("dino_b", "knn", "raw", 0.4567, 0.0123, True),
            row("dino_b", "knn", "zscore", 0.44, 0.01, False),
            row("dino_b", "linear", "raw", 0.5, 0.02, True),
            row("dino_b", "linear", "zscore", 0.5, 0.02, True),
            row("dino_b", "majority", "raw", 0.0333, 0.004, True),
            row("mae", "knn", "raw", 0.1, 0.03, False),
            row("mae", "knn", "zscore", 0.2, 0.03, False),
            row("mae", "linear", "raw", 0.3, 0.03, False),
            row("mae", "linear", "zscore", 0.3, 0.03, False),
            row("mae", "majority", "raw", 0.0333, 0.004, True),
        ]
    )


def cells(text: str, start: str) -> list[list[str]]:
    """The body rows of a rendered table that start with a name."""
    lines = [line.strip().strip("|\\").strip() for line in text.splitlines()]
    split = [[c.strip() for c in line.replace("|", "&").split(" & ")] for line in lines]
    return [line for line in split if line[0] == start]


def pipes(text: str, start: str) -> list[list[str]]:
    found = [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines()]
    return [line for line in found if line[0] == start]


def test_markdown_shows_percent_and_marks_what_is_level_with_the_best(rows):
    knn, linear = pipes(markdown(rows), "dino_b")
    assert knn[1:3] == ["**45.7 ± 1.2**", "44.0 ± 1.0"]
    assert linear[1:3] == ["**50.0 ± 2.0**", "**50.0 ± 2.0**"]
    assert knn[3:] == ["3.61", "1.234", "3.14"]
    assert [line[1:3] for line in pipes(markdown(rows), "mae")] == [
        ["10.0 ± 3.0", "20.0 ± 3.0"],
        ["30.0 ± 3.0", "30.0 ± 3.0"],
    ]


def test_every_head_has_a_table_with_its_columns(rows):
    text = markdown(rows)
    assert text.index("**k-NN: pixel mIoU (%)**") < text.index("**linear probe: pixel mIoU (%)**")
    costs = ["params (M)", "GFLOPs/image", "bank (MB)"]
    assert pipes(text, "model") == [["model", "raw", "zscore", *costs]] * 2


def test_every_table_ends_with_the_majority_floor(rows):
    floors = pipes(markdown(rows), "majority")
    assert floors == [["majority", "3.3 ± 0.4", "", "", "", ""]] * 2
    assert [line[1] for line in cells(latex(rows), "majority")] == [r"3.3 $\pm$ 0.4"] * 2


def test_every_dataset_has_its_section_and_its_own_floor(rows):
    other = rows.assign(dataset="camvid", pixel_miou=rows["pixel_miou"] / 2)
    text = markdown(pd.concat([rows, other]))
    assert text.count("### mini_city: few-shot semantic segmentation\n") == 1
    assert text.count("### camvid: few-shot semantic segmentation\n") == 1
    assert [line[1] for line in pipes(text, "majority")] == ["3.3 ± 0.4"] * 2 + ["1.7 ± 0.4"] * 2


@pytest.mark.parametrize(
    "words",
    [
        "Protocol 3.",
        "Support: 8 images (total) of sup_port, 5 seeds",
        "query: 60 images of query, 30000 labelled patches",
        "View: whole images at 128×256, grid 16×32 (equal), layer 7 (0-based)",
        "final norm True, float16",
        "Patch label: majority pixel",
        "k = 10, cosine, majority vote",
        "fitted on the support patches",
        "m = 0.26 of the width",
        "mean over 3 draws",
        "12 units, unit: sequence",
        "standard deviation over support seeds",
        "torch 9.9.9+a&b, timm 8.8.8, numpy 7.7.7",
    ],
)
def test_the_caption_carries_the_protocol(rows, words):
    rows = rows.replace("zscore", "prune_random")
    assert words in caption(rows)
    assert words in markdown(rows)


def test_the_caption_lists_values_that_differ_between_rows(rows):
    rows.loc[rows["model"] == "mae", "grid"] = "14×14"
    assert "grid 16×32/14×14 (equal)," in caption(rows)


def test_the_caption_says_whether_c_was_chosen(rows):
    assert "Linear probe: C chosen by cross-validation" in caption(rows)
    assert "Linear probe: C = 1. Variants" in caption(rows.assign(c=1.0))


def test_the_caption_names_files_that_are_not_official(rows):
    assert "NOT THE OFFICIAL" not in markdown(rows)
    rows.loc[rows["model"] == "mae", "not_official"] = "dataset and weights"
    assert "NOT THE OFFICIAL FILES: dataset of mini_city; weights of mae." in markdown(rows)


def test_the_caption_names_the_variants_with_an_m_that_were_run(rows):
    assert "width" not in caption(rows)
    assert "prune uses m = 0.26 of the width. mIoU" in caption(rows.replace("zscore", "prune"))
    more = pd.concat([rows.replace("zscore", name) for name in ("keep_random", "prune_random")])
    text = (
        "prune_random and keep_random use m = 0.26 of the width; prune_random and keep_random are"
    )
    assert f"{text} the mean over 3 draws in all." in caption(more)


def test_the_caption_says_where_m_is_chosen_by_folds(rows):
    chosen = rows.replace("zscore", "prune").assign(prune_select="auto", prune_m_used=37.5)
    text = caption(chosen)
    assert (
        "prune uses the m chosen by cross-validation in each support set (mean 37.5 dimensions)"
        in text
    )


def test_latex_marks_percent_and_floor(rows):
    knn, linear = cells(latex(rows), r"dino\_b")
    assert knn[1:3] == [r"\textbf{45.7 $\pm$ 1.2}", r"44.0 $\pm$ 1.0"]
    assert linear[2] == r"\textbf{50.0 $\pm$ 2.0}"
    floors = cells(latex(rows), "majority")
    assert [line[1] for line in floors] == [r"3.3 $\pm$ 0.4"] * 2


def test_latex_escapes_what_it_must(rows):
    text = latex(rows.replace("zscore", "keep_top"))
    captions = [line for line in text.splitlines() if line.startswith("\\caption")]
    assert len(captions) == text.count("\\begin{table}") == text.count("\\end{table}") == 2
    for line in captions:
        assert r"mini\_city" in line
        assert r"keep\_top" in line
        assert r"95 \% bootstrap" in line
        assert r"9.9.9+a\&b" in line
        assert r"128$\times$256" in line
        assert "±" not in line
        assert line.count("%") == line.count(r"\%")
        assert line.count("_") == line.count(r"\_")
        assert line.count("&") == line.count(r"\&")
    assert text.isascii()


def test_a_cost_in_words_is_kept(rows):
    rows["gflops_per_image"] = "unknown"
    assert pipes(markdown(rows), "mae")[0][4] == "unknown"
