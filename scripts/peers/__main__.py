"""Measure an own module on an own folder with patchlens and with its peers, side by side.

Needs an environment with VisBench and with what open-hummingbird-eval and CAPI import, and
checkouts of the last two; docs/peers.md says how. Writes the blocks of docs/peers.md.
"""

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import time
import tokenize
from datetime import UTC, datetime
from importlib import import_module, metadata
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
# Work -> (script, its head) of each tool, ours first.
WORK = {
    "k-NN": {
        "patchlens": ("with_patchlens", "knn"),
        "open-hummingbird-eval": ("with_hummingbird", ""),
        "CAPI": ("with_capi", ""),
    },
    "linear": {"patchlens": ("with_patchlens", "linear"), "VisBench": ("with_visbench", "")},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hummingbird", type=Path, required=True, help="its checkout")
    parser.add_argument("--capi", type=Path, required=True, help="its checkout")
    parser.add_argument("--camvid", type=Path, help="CamVid; without it, minicity is rendered")
    parser.add_argument("--weights", type=Path, help="of the ViT-S/14; without it, untrained")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)  # a script and its head
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(one(*args.one, args.folder, args.weights)))
        return
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "own"
        inside = (
            os.environ | dict.fromkeys(POOLS, "1") | {"TORCHDYNAMO_DISABLE": "1"}
        )  # so that compiling does not count
        places = [ROOT / "src", args.hummingbird, args.capi]
        inside["PYTHONPATH"] = os.pathsep.join(map(str, places))
        if os.environ.get("PYTHONPATH") != inside["PYTHONPATH"]:  # of this process, too
            sys.exit(subprocess.run([sys.executable, *sys.argv], env=inside).returncode)
        import own

        classes = own.make_folder(folder, args.camvid)
        command = [sys.executable, HERE, "--folder", folder]
        for name in ("hummingbird", "capi", "weights"):
            if getattr(args, name):
                command += [f"--{name}", getattr(args, name)]
        rounds = [measured(command, backwards=bool(i % 2)) for i in range(args.rounds)]
        table = speed(rounds, folder)
        causes = explained(rounds, folder, args.weights, classes)
    sys.path.insert(0, str(HERE.parent))
    from embed import embed

    page = ROOT / "docs/peers.md"
    embed(page, "speed", f"{table}\n\n{about(args)}")
    embed(page, "causes", causes)


def one(script: str, head: str, folder: Path, weights: Path | None) -> dict[str, float]:
    """Measure one tool in this process, which does nothing else."""
    import torch

    import own

    torch.set_num_threads(1)
    start = time.process_time()
    tool = import_module(script)
    imported = time.process_time()
    model = own.Own(weights)
    more = [head] if head else [len_classes(folder)]
    begun = time.process_time()
    score = tool.measure(model, folder, *more)
    whole = time.process_time() - begun
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    return {
        "score": score,
        "seconds": whole,
        "beside": whole - model.seconds,
        "imports": imported - start,
        "peak": peak / 1024,
    }


def len_classes(folder: Path) -> int:
    """The number of classes of the own folder."""
    import yaml

    return len(yaml.safe_load((folder / "dataset.yaml").read_text())["classes"])


def measured(command: list, *, backwards: bool) -> dict[tuple[str, str], dict[str, float]]:
    """One round: every tool in a fresh process; every other round in the opposite order."""
    jobs = [(work, tool) for work, tools in WORK.items() for tool in tools]
    out = {}
    for job in reversed(jobs) if backwards else jobs:
        ran = subprocess.run(
            [*command, "--one", *WORK[job[0]][job[1]]], capture_output=True, text=True
        )
        if ran.returncode:
            sys.exit(f"{job}: {ran.stderr[-2000:]}")
        out[job] = json.loads(ran.stdout.splitlines()[-1])
        print(job, out[job], flush=True)
    return out


def speed(rounds: list[dict], folder: Path) -> str:
    """The table of lines, seconds, memory and score."""
    head = ["", "lines", "seconds", "of these, beside the module", "× ours", "import (s)"]
    rows = [[*head, "peak (MB)", "mIoU"]]
    for work, tools in WORK.items():
        for tool, (script, _) in tools.items():
            runs = [one[work, tool] for one in rounds]
            scores = sorted({f"{100 * run['score']:.2f}" for run in runs})
            if len(scores) > 1 and tool != "open-hummingbird-eval":  # ScaNN draws its index
                sys.exit(f"{tool}: its score changes from run to run: {scores}")
            base = [one[work, "patchlens"]["beside"] for one in rounds]
            ratios = [run["beside"] / b for run, b in zip(runs, base, strict=True)]
            lines = code_lines((HERE / f"{script}.py").read_text())
            if tool == "patchlens":
                lines += len((folder / "dataset.yaml").read_text().splitlines())
            rows.append(
                [
                    f"{work}, {tool}",
                    str(lines),
                    *(spread([run[key] for run in runs]) for key in ("seconds", "beside")),
                    "" if tool == "patchlens" else spread(ratios, 2),
                    spread([run["imports"] for run in runs]),
                    spread([run["peak"] for run in runs], 0),
                    " to ".join(dict.fromkeys([scores[0], scores[-1]])),
                ]
            )
    return as_table(rows)


def as_table(rows: list[list[str]]) -> str:
    """A Markdown table; the first row is its head."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def spread(values: list[float], digits: int = 1) -> str:
    """The median, and the range in brackets."""
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def code_lines(source: str) -> int:
    """Lines with code: no blank lines, comments or docstrings."""
    quiet = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    lines: set[int] = set()
    before = tokenize.NEWLINE
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in quiet | {tokenize.ENDMARKER}:
            before = token.type if token.type != tokenize.COMMENT else before
            continue
        alone = before in quiet and token.line.strip().startswith(('"""', "'''"))
        if not (token.type == tokenize.STRING and alone):
            lines |= {*range(token.start[0], token.end[0] + 1)}
        before = token.type
    return len(lines)


def explained(rounds: list[dict], folder: Path, weights: Path | None, classes: int) -> str:
    """Tables that lead from our score to each peer's; stops where the last is not theirs."""
    import rules

    import own
    import patchlens as pl

    def measured_scores(work: str, tool: str) -> float:
        return float(rounds[0][work, tool]["score"])

    backbone = pl.wrap(own.Own(weights), patch_size=own.PATCH, mean=own.MEAN, std=own.STD)
    photos, masks = read(folder)
    whole = {name: split(backbone, photos[name], masks[name]) for name in photos}
    cut = {name: cropped(photos[name], masks[name]) for name in photos}
    centre = {name: split(backbone, *cut[name]) for name in cut}
    pair = whole["support"], whole["query"]
    tables = {
        "open-hummingbird-eval": [*rules.hummingbird(*pair, classes, own.K, own.SIZE)],
        "CAPI": [*rules.capi(*pair, classes, own.K, own.SIZE)],
    }
    data = pl.from_arrays(
        [*cut["support"][0], *cut["query"][0]],
        [*cut["support"][1], *cut["query"][1]],
        classes=[str(i) for i in range(classes)],
        support=range(own.SUPPORT),
        shots=own.SUPPORT,
        seeds=2,
        patches=(own.GRID, own.GRID),
    )
    result = pl.evaluate(backbone, data, heads=["linear"], dtype="float32", device="cpu")
    tables["VisBench"] = [
        ("ours", measured_scores("linear", "patchlens")),
        ("the centre square of each image", result.metrics["linear"]["raw"]["pixel_miou"]),
        (
            "ten epochs of AdamW on pixels, no choice of regularisation",
            rules.visbench_head(centre["support"], centre["query"], classes),
        ),
    ]
    exact = hummingbird(pair, folder, classes, exact=True)
    parts = []
    for work, tools in WORK.items():
        for tool in [*tools][1:]:
            approximate = tool == "open-hummingbird-eval"
            steps = tables[tool]
            theirs = exact if approximate else measured_scores(work, tool)
            mine = measured_scores(work, "patchlens")
            for what, found, wanted, close in (
                ("ours", steps[0][1], mine, 6e-5),  # metrics are rounded to 4 digits
                (tool, steps[-1][1], theirs, 1e-7),
            ):
                if abs(found - wanted) > close:
                    sys.exit(f"{tool}: the rules give {found} where {what} gives {wanted}: {steps}")
            rows = [["rule of theirs, one after the other", "mIoU", "change"]]
            last = steps[0][1]
            for rule, score in steps:
                change = "" if rule == "ours" else f"{100 * (score - last):+.2f}"
                rows.append([rule, f"{100 * score:.2f}", change])
                last = score
            itself = f"**{tool} itself{', with an exact search' * approximate}**"
            rows.append([itself, f"**{100 * theirs:.2f}**", "equal"])
            if approximate:
                drawn = [one[work, tool]["score"] for one in rounds]
                shown = f"{100 * min(drawn):.2f} to {100 * max(drawn):.2f}"
                rows.append([f"with its own search (ScaNN), {len(drawn)} runs", shown, ""])
            parts.append(f"**{tool}**\n\n{as_table(rows)}")
    return "\n\n".join(parts)


def read(folder: Path) -> tuple[dict, dict]:
    """Photos and masks of both splits, in order, at their own size."""
    import numpy as np
    from PIL import Image

    names = {s: (folder / f"{s}.txt").read_text().split() for s in ("support", "query")}
    return (
        {
            s: [Image.open(folder / f"images/{n}.png").convert("RGB") for n in names[s]]
            for s in names
        },
        {s: [np.asarray(Image.open(folder / f"masks/{n}.png")) for n in names[s]] for s in names},
    )


def split(backbone: object, photos: list, masks: list) -> object:
    """Their features, in batches as in all tools, with their masks."""
    import rules

    import own
    import patchlens as pl

    grid = (own.GRID, own.GRID)
    features = pl.extract(backbone, photos, patches=grid, batch_size=own.BATCH, device="cpu")
    return rules.Split(features, masks)


def cropped(photos: list, masks: list) -> tuple[list, list]:
    """The centre squares that VisBench takes: the shorter side resized, then cut."""
    import numpy as np
    import torch
    from PIL import Image

    import own

    size, images, labels = own.SIZE, [], []
    for photo, mask in zip(photos, masks, strict=True):
        scale = size / min(photo.size)
        wide, high = (max(size, round(side * scale)) for side in photo.size)
        left, top = (wide - size) // 2, (high - size) // 2
        box = (left, top, left + size, top + size)
        images.append(photo.resize((wide, high), Image.BICUBIC).crop(box))
        large = torch.from_numpy(mask[None, None].astype(np.float32))
        large = torch.nn.functional.interpolate(large, (high, wide), mode="nearest")[0, 0]
        labels.append(large.numpy()[top : top + size, left : left + size].astype(np.uint8))
    return images, labels


def hummingbird(pair: tuple, folder: Path, classes: int, *, exact: bool) -> float:
    """Its score on features that are there already; with its own search, or an exact one."""
    import faiss
    import torch
    import with_hummingbird
    from hbird.nn import search_scann

    class Exact(search_scann.NearestNeighborSearchScaNN):
        def _initialize_index(self) -> object:
            index = faiss.IndexFlatIP(self.feature_memory.shape[1])
            index.add(self.feature_memory.numpy())
            return index

        def find_nearest_neighbors(self, queries: object, k: int | None = None) -> tuple:
            similarity, rows = self.index.search(queries.numpy(), self.n_neighbors)
            return rows, similarity

    class Replay(torch.nn.Module):
        def forward(self, images: object) -> object:
            return next(batches)

    batches = iter([b for s in pair for b in torch.from_numpy(s.features).flatten(1, 2).split(8)])
    theirs = search_scann.NearestNeighborSearchScaNN
    search_scann.NearestNeighborSearchScaNN = Exact if exact else theirs
    score = with_hummingbird.measure(Replay(), folder, classes)
    search_scann.NearestNeighborSearchScaNN = theirs
    return float(score)


def about(args: argparse.Namespace) -> str:
    """What was measured, with which versions."""
    import own
    from patchlens.features.device import cpu_name

    def commit(where: Path) -> str:
        command = ["git", "-C", str(where), "rev-parse", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()[:12]

    packages = ("visbench", "scann", "torch", "torchvision", "timm", "faiss-cpu", "scikit-learn")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in packages)
    data = "CamVid" if args.camvid else "minicity"
    trained = "DINOv2's weights" if args.weights else "untrained"
    return (
        f"{own.SUPPORT} support and {own.QUERY} query images of {data}, ViT-S/14 ({trained}), "
        f"{own.SIZE} × {own.SIZE} pixels, k = {own.K}, cosine. Medians and ranges of {args.rounds} "
        f"rounds in CPU seconds of one thread, each tool in a fresh process, in alternating "
        f"order. {cpu_name()}, {datetime.now(UTC):%Y-%m-%d}. patchlens {commit(ROOT)}, "
        f"open-hummingbird-eval {commit(args.hummingbird)}, CAPI {commit(args.capi)}, {versions}."
    )


if __name__ == "__main__":
    main()
