"""How fast a GPU does what a plan counts, each beside the bare work of the library."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image

from gpu.rows import Rows, note_packages, options, seconds
from patchlens.backbones.convert import convert
from patchlens.backbones.load import load
from patchlens.features.device import describe, resolve
from patchlens.features.extract import AUTOCAST, Extractor, ImageSource
from patchlens.features.store import Header
from patchlens.plan.cost import Rates
from patchlens.pretrain.train import wait
from patchlens.settings.classifiers import Linear
from patchlens.settings.datasets import View
from patchlens.settings.features import Features
from patchlens.settings.models import UntrainedModel
from patchlens.tasks.bank import Bank
from patchlens.tasks.cost import probe_work
from patchlens.tasks.probe import fit_probe
from patchlens.tasks.segmentation.upsample import upsampled_argmax

ARCH = "vit_small_patch14_dinov2"
GUESS = Rates()


class Bench:
    """The work on one device, a small part of it with `tiny`."""

    def __init__(self, device: str, tiny: bool, rows: Rows) -> None:
        self.where = resolve(device)  # type: ignore[arg-type]
        self.on, self.tiny, self.rows = torch.device(self.where), tiny, rows
        rows.add("device", f"{describe(self.where)}, torch {torch.__version__}")

    def wait(self) -> None:
        """Until the device has finished."""
        wait(self.on)

    def extraction(self, precision: str) -> None:
        """Decoded images in, a feature file out, beside the bare forward of the same batches."""
        count, batch, grid = (2, 2, (2, 2)) if self.tiny else (256, 32, (24, 32))
        view = View(mode="whole", grid="equal", patches=list(grid))
        settings = Features(
            layer=-1, layer_sweep=[], norm=True, dtype="float16", batch_size=batch,
            precision=precision,
        )  # fmt: skip
        rng = np.random.default_rng(0)
        size = view.input_size(14)
        picture = Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8))
        ids = [str(number) for number in range(count)]
        header = Header("d", "s", "m", "w", ids, (0, 0), 0, [], True, "float16", "v", 14)
        with TemporaryDirectory() as work:
            weights = Path(work) / "bench.safetensors"
            model = UntrainedModel(source="untrained", arch=ARCH, seed=0)
            convert("bench", model, weights, work=Path(work))
            backbone = load(weights)
            extractor = Extractor(backbone, view, settings, self.where)
            source, number = ImageSource(ids, lambda _: picture), iter(range(100))
            ours = seconds(
                lambda: extractor.run(
                    source, header, Path(work) / f"{next(number)}", Path(work) / "out.safetensors"
                ),
                self.wait,
            )
        tensor = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].to(self.on)
        images = tensor.expand(batch, -1, -1, -1).float() / 255
        vit = backbone._model.eval()  # type: ignore[attr-defined]

        @torch.inference_mode()
        def bare() -> None:
            dtype = AUTOCAST.get(precision, torch.bfloat16)
            with torch.autocast(self.where, dtype, enabled=precision in AUTOCAST):
                for _ in range(count // batch):
                    vit.forward_features(images)

        theirs = seconds(bare, self.wait)
        self.rows.add(
            f"extraction, ViT-S/14 at {size[0]}×{size[1]}, batch {batch}, {precision}",
            f"{theirs / ours:.3f} of the bare forward's rate ({count / ours:.0f} images/s)",
            "≥ 0.95 in fp32" if precision == "fp32" else "–",
        )

    def knn(self) -> None:
        """A search, the bank's way to the device included, beside a bare product and top-k."""
        bank, queries, width, k = (2000, 200, 32, 5) if self.tiny else (200_000, 20_000, 384, 30)
        rng = np.random.default_rng(0)
        x = rng.standard_normal((bank, width), dtype=np.float32)
        q = rng.standard_normal((queries, width), dtype=np.float32)
        made = Bank(x, distance="cosine", device=self.where, torch=True)
        ours = seconds(lambda: made.search(q, k), self.wait)
        a, b = torch.from_numpy(x).to(self.on), torch.from_numpy(q).to(self.on)
        theirs = seconds(lambda: [(part @ a.T).topk(k, dim=1) for part in b.split(4096)], self.wait)
        rate = 2.0 * bank * queries * width / ours
        self.rows.add(
            f"k-NN, {bank} × {width} bank, {queries} queries, k = {k}, cosine",
            f"{ours / theirs:.2f} × of a product and top-k; {queries / ours:.0f} queries/s, "
            f"{rate / 1e12:.2f} TFLOP/s; a plan assumes {GUESS.gpu / 1e12:.0f}",
        )

    def probe(self) -> None:
        """A fit as a plan counts it, and one with the search for C."""
        n, width, classes = (400, 16, 4) if self.tiny else (16_384, 384, 21)
        rng = np.random.default_rng(0)
        x = rng.standard_normal((n, width), dtype=np.float32)
        y = np.arange(n) % classes
        for what, values in (("one C", [1.0]), ("five C, four folds", [0.01, 0.1, 1.0, 10, 100])):
            settings = Linear(c=values, default_c=1.0, folds=4, max_iter=5000)
            took = seconds(
                lambda s=settings: fit_probe(  # type: ignore[misc]
                    x, y, np.arange(n) * 8 // n, classes, s, device=self.where, torch=True
                ),
                self.wait,
            )
            work = probe_work(n, width, classes)
            rate = f"; {work / took / 1e9:.0f} G/s as a plan counts" if len(values) == 1 else ""
            self.rows.add(
                f"linear probe, {n} × {width}, {classes} classes, {what}",
                f"{took:.2f} s{rate}; a plan assumes {GUESS.gpu / 1e9:.0f}",
            )

    def maps(self) -> None:
        """Class maps of shares that lie on the device."""
        classes, size = (5, (64, 64)) if self.tiny else (150, (512, 683))
        shares = torch.rand((32, 43, classes), device=self.on)
        took = seconds(lambda: upsampled_argmax(shares, size), self.wait)
        self.rows.add(
            f"pixel maps, {classes} classes at {size[0]}×{size[1]}",
            f"{classes * size[0] * size[1] / took / 1e9:.2f} G pixels × classes/s; a plan assumes "
            f"{GUESS.gpu_maps / 1e9:.0f}",
        )


def main(arguments: Sequence[str]) -> int:
    """Measure everything; the rows go to `--rows`."""
    args = options(__doc__).parse_args(arguments)
    bench = Bench(args.device, args.tiny, Rows(args.rows))
    for precision in ("fp32", "bf16") if bench.where == "cpu" else ("fp32", "tf32", "bf16"):
        bench.extraction(precision)
    bench.knn()
    bench.probe()
    bench.maps()
    note_packages(args.rows.with_name("needs.txt"))
    return 0
