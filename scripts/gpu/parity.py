"""Whether a GPU gives what a CPU gives: neighbours, votes, probes, pixel maps, features, scores."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image

from gpu.rows import Rows, note_packages, options
from patchlens.backbones.convert import convert
from patchlens.backbones.load import load
from patchlens.datasets.layout import IGNORE
from patchlens.features.device import Where, resolve
from patchlens.features.extract import Extractor, ImageSource
from patchlens.features.store import Header
from patchlens.pretrain import frames
from patchlens.pretrain.probe import KnnProbe
from patchlens.pretrain.settings import load as load_recipes
from patchlens.settings.classifiers import Linear
from patchlens.settings.datasets import View
from patchlens.settings.features import Features
from patchlens.settings.models import FileModel
from patchlens.tasks.bank import Bank, on_host
from patchlens.tasks.knn import labels_of, vote
from patchlens.tasks.probe import fit_probe
from patchlens.tasks.scores import confusion, mean_iou
from patchlens.tasks.segmentation.labels import patch_labels
from patchlens.tasks.segmentation.upsample import upsampled_argmax

GRID = (16, 32)
MODELS = ("supervised", "mae")
SAME = 0.999  # share of choices that rounding may leave


def main(arguments: Sequence[str]) -> int:
    """Compare everything; the rows go to `--rows`."""
    args = options(__doc__).parse_args(arguments)
    device, rows = resolve(args.device), Rows(args.rows)
    size = 8 if args.tiny else 1
    neighbours(rows, device, 20_000 // size, 384 // size)
    probes(rows, device, 6400 // size, 192 // size)
    maps(rows, device, 150, 512 // size)
    features(rows, device, args.tiny)
    note_packages(args.rows.with_name("needs.txt"))
    return 0


def neighbours(rows: Rows, device: Where, bank: int, width: int, k: int = 30) -> None:
    """The torch path on both devices; the tests compare it with faiss on a CPU."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((bank, width), dtype=np.float32)
    queries = rng.standard_normal((bank // 20, width), dtype=np.float32)
    labels = rng.integers(0, 10, bank)
    nested: dict[str, Any] = {"order": rng.permutation(width), "sizes": [width // 4, width]}
    for distance in ("cosine", "dot", "l2"):
        for what, how in (("", {}), (", nested", nested)):
            ours, theirs = (
                Bank(x, distance=distance, device=on, torch=True, **how).search(queries, k)
                for on in ("cpu", device)
            )
            for a, b in zip(ours, theirs, strict=True):
                same = float((on_host(a.rows) == on_host(b.rows)).mean())
                scale = float(on_host(a.similarity).__abs__().max())
                off = float(np.abs(on_host(a.similarity) - on_host(b.similarity)).max()) / scale
                rows.add(
                    f"k-NN, {distance}{what}",
                    f"{same:.5f} of the neighbours are the same; similarity differs by {off:.1e}",
                    f"≥ {SAME}, ≤ 1e-4",
                    same >= SAME and off <= 1e-4,
                )
    [near] = Bank(x, distance="cosine", device="cpu", torch=True).search(queries, k)
    for weighting in ("majority", "softmax"):
        votes = [
            vote(s, labels_of(labels, r), 10, weighting=weighting, temperature=0.07)
            for s, r in ((n.to(on) for n in near) for on in ("cpu", device))
        ]
        (here, first), (there, second) = votes
        off = float((here - there.cpu()).abs().max())
        same = float((first == second.cpu()).float().mean())
        said = f"{same:.5f} of the classes are the same; shares differ by {off:.1e}"
        rows.add(f"votes, {weighting}", said, f"≥ {SAME}, ≤ 1e-5", same >= SAME and off <= 1e-5)


def probes(rows: Rows, device: Where, n: int, width: int, classes: int = 10) -> None:
    """The fit in torch on the device beside scipy's on a CPU."""
    rng = np.random.default_rng(1)
    y = rng.integers(0, classes, n)
    x = (rng.normal(size=(classes, width))[y] + 3 * rng.normal(size=(n, width))).astype(np.float32)
    groups = np.arange(n) * 8 // n
    settings = Linear(c=[0.03, 1.0, 30.0], default_c=1.0, folds=4, max_iter=5000)
    ours = fit_probe(x, y, groups, classes, settings)
    theirs = fit_probe(x, y, groups, classes, settings, device=device, torch=True)
    off = float(np.abs(ours.scores(x) - theirs.scores(x)).max())
    same = float((ours.scores(x).argmax(1) == theirs.scores(x).argmax(1)).mean())
    rows.add(
        "linear probe",
        f"C {ours.c:g} and {theirs.c:g}; {same:.5f} of the classes are the same; probabilities "
        f"differ by {off:.1e}",
        f"same C, ≥ {SAME}, ≤ 2e-3",
        ours.c == theirs.c and same >= SAME and off <= 2e-3,
    )


def maps(rows: Rows, device: Where, classes: int, side: int, k: int = 10) -> None:
    """Class maps of votes, among which many are equal."""
    rng = np.random.default_rng(2)
    counts = rng.multinomial(k, np.full(classes, 1 / classes), size=(side // 16, side // 8))
    shares = (counts / k).astype(np.float32)
    here = upsampled_argmax(shares, (side, 2 * side))
    there = upsampled_argmax(torch.from_numpy(shares).to(device), (side, 2 * side))
    same = float((here == there).mean())
    rows.add("pixel maps", f"{same:.6f} of the pixels are the same", f"≥ {SAME}", same >= SAME)


def features(rows: Rows, device: Where, tiny: bool) -> None:
    """Features of the committed mini models, and the scores of other precisions beside fp32."""
    settings = load_recipes().recipe("mae", "cpu").shared.probe
    if tiny:
        settings = settings.model_copy(update={"bank": 3, "query": 2})
    pictures = frames.of_probe(settings, Path(".work/pretrain"))
    knn = KnnProbe(pictures, settings.bank, settings.k, 8, torch.device(device))
    listed = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))["models"]
    for name in MODELS:
        with TemporaryDirectory() as work:
            weights = Path(work) / f"{name}.safetensors"
            convert(name, FileModel(**listed[name]), weights, work=Path(work))
            here = extracted(weights, pictures, "cpu", "fp32")
            found = {p: extracted(weights, pictures, device, p) for p in precisions(device)}
        off = float(np.abs(here - found["fp32"]).max() / here.std())
        said = f"differs by {off:.1e} of the standard deviation"
        rows.add(f"extraction of {name}, fp32, beside a CPU", said, "≤ 1e-2", off <= 1e-2)
        truth = scores(knn, here, pictures, settings.bank, "cpu")
        for precision, tokens in found.items():
            each = scores(knn, tokens, pictures, settings.bank, device)
            apart = max(abs(a - b) for a, b in zip(each, truth, strict=True))
            bound = ("≤ 0.002", apart <= 0.002) if precision == "fp32" else ()
            rows.add(
                f"patch mIoU of {name} by k-NN and probe, {precision}",
                f"{each[0]:.4f}, {each[1]:.4f}; on a CPU in fp32 {truth[0]:.4f}, {truth[1]:.4f}",
                *bound,
            )


def precisions(device: Where) -> list[str]:
    """Those of `features.precision` that this device has."""
    return ["fp32", "bf16"] if device == "cpu" else ["fp32", "tf32", "bf16", "fp16"]


def extracted(weights: Path, pictures: Any, device: Where, precision: str) -> Any:
    """Features [N, h, w, D] as the stage `extract` computes them."""
    view = View(mode="whole", grid="equal", patches=list(GRID))
    settings = Features(
        layer=-1, layer_sweep=[], norm=True, dtype="float32", batch_size=8, precision=precision
    )
    ids = [str(number) for number in range(len(pictures))]

    def read(name: str) -> Image.Image:
        return Image.fromarray(np.ascontiguousarray(pictures[int(name), :3].transpose(1, 2, 0)))

    header = Header("d", "s", "m", "w", ids, (0, 0), 0, [], True, "float32", "v", 8)
    found = Extractor(load(weights), view, settings, device).held(ImageSource(ids, read), header)
    return found.images(ids, found.header.layers[0])


def scores(
    knn: KnnProbe, tokens: Any, pictures: Any, bank: int, device: Where
) -> tuple[float, float]:
    """Patch mIoU by k-NN and by a linear probe of one C."""
    classes = int(pictures[:, 3][pictures[:, 3] != IGNORE].max()) + 1
    labels = np.stack([patch_labels(one[3], GRID, classes, "majority") for one in pictures])
    flat = tokens.reshape(-1, tokens.shape[-1])
    known, asked = labels[:bank].ravel() != IGNORE, labels[bank:].ravel()
    one = Linear(c=[1.0], default_c=1.0, folds=2, max_iter=5000)
    x, y = flat[: len(known)][known], labels[:bank].ravel()[known].astype(np.int64)
    probe = fit_probe(x, y, y, classes, one, device=device, torch=True)
    counts = confusion(asked, probe.scores(flat[len(known) :]).argmax(1), classes)
    return knn.score(tokens).miou, float(mean_iou(counts, counts.sum(axis=1) > 0))
