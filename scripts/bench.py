"""Measure speed and memory against bare library calls, interleaved in one run.

Seconds are specific to this machine and moment; only the ratios have bounds. With data/external as
in presets/camvid.yaml, extraction is measured on those photographs, otherwise on minicity.
Writes the block `bench` of docs/bench.md.
"""

import argparse
import hashlib
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

THREADS = 2
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = str(THREADS)

import faiss  # noqa: E402
import numpy as np  # noqa: E402
import timm  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402

from embed import embed  # noqa: E402
from patchlens.backbones.convert import convert  # noqa: E402
from patchlens.backbones.load import load  # noqa: E402
from patchlens.datasets.build import build as build_index  # noqa: E402
from patchlens.datasets.images import open_image  # noqa: E402
from patchlens.datasets.readers import read as read_dataset  # noqa: E402
from patchlens.features.device import cpu_name  # noqa: E402
from patchlens.features.extract import Extractor, ImageSource  # noqa: E402
from patchlens.features.store import FeatureFile, Header, write  # noqa: E402
from patchlens.features.variants import unit_rows  # noqa: E402
from patchlens.features.views import cut  # noqa: E402
from patchlens.settings.classifiers import Knn  # noqa: E402
from patchlens.settings.datasets import View  # noqa: E402
from patchlens.settings.features import Features  # noqa: E402
from patchlens.settings.models import FileModel, UntrainedModel  # noqa: E402
from patchlens.tasks.approximate import Index, build, lists_of, recall  # noqa: E402
from patchlens.tasks.bank import COPIES, Bank  # noqa: E402
from patchlens.tasks.knn import search  # noqa: E402
from patchlens.tasks.objects import Objects  # noqa: E402
from patchlens.tasks.retrieval.search import retrieve  # noqa: E402
from patchlens.tasks.segmentation.few_shot import Labelled, Mapped  # noqa: E402
from patchlens.tasks.segmentation.select import choose_m, sampled  # noqa: E402
from patchlens.tasks.tracking.propagation import enlarge, one_hot, propagate  # noqa: E402
from patchlens.tasks.tracking.settings import Propagation  # noqa: E402

ROOT = Path(__file__).parent.parent
CAMVID = ROOT / "data/external/camvid/test"
WEIGHTS = ROOT / "data/external/vit_small_patch14.safetensors"
ARCH = "vit_small_patch14_dinov2"
VIEW = View(mode="whole", grid="equal", patches=[24, 32])  # 336×448 pixels at patch size 14
FEATURES = Features(layer=-1, layer_sweep=[], norm=True, dtype="float16", batch_size=8)
COSINE = {"distance": "cosine", "vote": "majority", "temperature": 0.07}
DROPPED = (0, 10, 20, 30, 40, 50, 100, 200, 400, 600, 700, 750)  # of 768
Row = tuple[str, str, str]

OBJECT_TASKS = {
    "degrade": "minicity",
    "identification": "minicity",
    "retrieval": "minicity",
    "tracking": "minicity_video",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--part",
        choices=[
            "index",
            "extract",
            "knn",
            "sweep",
            "propagation",
            "repro",
            "rss-index",
            "rss-extract",
            "rss-knn",
            "index-knn",
            "large",
            "rss-ann",
            "rss-bank",
        ],
    )
    parser.add_argument("--images", type=int, default=0, help="or rows of a bank")
    parser.add_argument("--root", type=Path, help="the dataset of rss-index")
    arguments = parser.parse_args()
    torch.set_num_threads(THREADS)
    faiss.omp_set_num_threads(THREADS)
    children: dict[str | None, Callable[[], object]] = {
        "rss-index": lambda: rss_index(arguments.root, arguments.images),
        "rss-extract": lambda: rss_extract(arguments.images),
        "rss-knn": rss_knn,
        "rss-ann": lambda: rss_ann(ours=bool(arguments.images)),
        "rss-bank": lambda: rss_bank(arguments.images),
    }
    if arguments.part in children:
        print(children[arguments.part]())
        return
    parts: dict[str, Callable[[], list[Row]]] = {
        "index": bench_index,
        "extract": bench_extract,
        "knn": bench_knn,
        "index-knn": bench_ann,
        "large": bench_large,
        "sweep": bench_sweep,
        "propagation": bench_propagation,
        "repro": bench_repro,
    }
    chosen = [arguments.part] if arguments.part else list(parts)
    rows = [row for part in chosen for row in parts[part]()]
    lines = ["| what | measured | bound |", "|---|---|---|"]
    lines += [f"| {what} | {measured} | {bound} |" for what, measured, bound in rows]
    table = "\n".join([*lines, "", about()])
    print(table)
    if not arguments.part:
        embed(ROOT / "docs/bench.md", "bench", table)


def about() -> str:
    commit = run("git", "rev-parse", "--short", "HEAD", cwd=ROOT).strip()
    return (
        f"{cpu_name()}, {THREADS} threads, {datetime.now(UTC):%Y-%m-%d}, commit {commit}, "
        f"torch {torch.__version__}, timm {timm.__version__}, faiss {faiss.__version__}. Ratios "
        "are medians of interleaved pairs. Made by `make bench`."
    )


def bench_index(videos: int = 100, frames: int = 200) -> list[Row]:
    """A small copy of BDD100K's layout: videos of tiny images, eight labelled boxes per frame."""
    with tempfile.TemporaryDirectory() as work:
        root = Path(work)
        labels = root / "labels/box_track_20/train"
        labels.mkdir(parents=True)
        image = io.BytesIO()
        Image.new("RGB", (64, 36)).save(image, "JPEG")
        box = {"category": "car", "box2d": {"x1": 1, "y1": 1, "x2": 9, "y2": 9}}
        objects = [box | {"id": str(number)} for number in range(8)]
        for video in (f"v{number}" for number in range(videos)):
            folder = root / "images/track/train" / video
            folder.mkdir(parents=True)
            names = [f"{video}-{frame + 1:07d}.jpg" for frame in range(frames)]
            for name in names:
                (folder / name).write_bytes(image.getvalue())
            listed = [{"name": n, "frameIndex": i, "labels": objects} for i, n in enumerate(names)]
            (labels / f"{video}.json").write_text(json.dumps(listed))
        found = [json.loads(rss("rss-index", images=n, root=root)) for n in (1, THREADS)]
    rates = " and ".join(f"{videos * frames / time:.0f}" for time, _ in found)
    return [
        (
            f"index of {videos * frames} images with 8 boxes each, on 1 and {THREADS} cores",
            f"{rates} images/s, {found[-1][1]} MB of memory",
            "280 000 images in minutes",
        )
    ]


def rss_index(root: Path, cores: int) -> str:
    """Seconds and memory in MB of indexing on so many cores, as JSON."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    with tempfile.TemporaryDirectory() as out:
        layout = read_dataset("bdd100k_track", root)
        Path("/proc/self/clear_refs").write_text("5")  # Linux: forget the peak of the imports
        before = memory("VmRSS")
        time = seconds(lambda: build_index("bench", layout, root, None, None, Path(out)))
    return json.dumps([time, memory("VmHWM") - before])


def bench_extract(rounds: int = 4, images: int = 24) -> list[Row]:
    """Extraction with decoding and writing, beside the bare forward pass of the same model."""
    with tempfile.TemporaryDirectory() as work:
        paths, extractor, read = prepare(Path(work), images * rounds)
        size = VIEW.input_size(14)
        bare = timm.create_model(ARCH, img_size=size, num_classes=0).eval()
        ratios, rates = [], []
        for turn in range(rounds):
            ids = paths[turn * images : (turn + 1) * images]
            pixels = np.concatenate([cut(read(i), VIEW, size, "bicubic") for i in ids])
            batches = torch.from_numpy(pixels).float().div(255).sub(0.45).div(0.22).split(8)
            with torch.inference_mode():
                forward = seconds(lambda b=batches: [bare.forward_features(x) for x in b])
            ours = seconds(lambda i=ids: extract(extractor, i, read, Path(work)))
            ratios.append(forward / ours)
            rates.append(images / ours)
        small, large = (rss("rss-extract", images=n) for n in (24, 120))
    source = "CamVid" if CAMVID.is_dir() else "minicity (no CamVid in data/external)"
    return [
        (
            f"extraction, ViT-S/14, {source} at 448×336, batch 8, fp32",
            f"{statistics.median(ratios):.3f} of the bare timm forward's rate "
            f"({statistics.median(rates):.1f} images/s)",
            "≥ 0.95",
        ),
        (
            "peak memory of extraction, 24 and 120 images",
            f"{small} MB and {large} MB",
            "does not grow with the images",
        ),
    ]


def prepare(work: Path, count: int) -> tuple[list[str], Extractor, Callable]:
    """Image paths, an extractor and a reader; photographs and trained weights if available."""
    if CAMVID.is_dir():
        paths = [str(path) for path in sorted(CAMVID.iterdir())]
    else:
        paths = [str(p) for p in sorted((ROOT / "data/raw/minicity/images").rglob("*.png"))]
    if not paths:
        sys.exit("no images: run `make repro` first")
    model: FileModel | UntrainedModel = UntrainedModel(source="untrained", arch=ARCH, seed=0)
    if WEIGHTS.is_file():
        digest = hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
        model = FileModel(source="file", file=str(WEIGHTS), arch=ARCH, sha256=digest)
    convert("bench", model, work / "weights.safetensors", work=work)
    backbone = load(work / "weights.safetensors")
    extractor = Extractor(backbone, VIEW, FEATURES, "cpu")
    repeated = (paths * (count // len(paths) + 1))[:count]
    return repeated, extractor, lambda path: open_image(Path(path))


def extract(extractor: Extractor, ids: list[str], read: Callable, work: Path) -> None:
    header = Header("d", "s", "m", "w", ids, (0, 0), 0, [], True, "float16", "v", 14)
    extractor.run(ImageSource(ids, read), header, work / "shards", work / "out.safetensors")


def bench_knn(rounds: int = 4) -> list[Row]:
    """Our search, normalisation included, beside a bare index on the same arrays."""
    bank, queries = arrays()
    index = faiss.IndexFlatIP(bank.shape[1])
    index.add(unit_rows(bank))
    unit = unit_rows(queries)
    pairs = []
    for _ in range(rounds):
        theirs = seconds(lambda: index.search(unit, 30))
        ours = seconds(lambda: our_search(bank, queries))
        pairs.append((ours / theirs, ours))
    ratio, ours = (statistics.median(values) for values in zip(*pairs, strict=True))
    base, peak = json.loads(rss("rss-knn"))
    return [
        (
            "k-NN, 100 k × 384 bank, 10 k queries, k = 30, cosine",
            f"{ratio:.2f} × of a bare faiss.IndexFlatIP.search ({ours:.1f} s)",
            "≤ 1.15 ×",
        ),
        (
            f"memory of that search beside its inputs (bank {bank.nbytes / 2**20:.0f} MiB)",
            f"{peak - base} MiB",
            "≤ bank + one block",
        ),
    ]


def arrays() -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    return (
        draw.standard_normal((100_000, 384), dtype=np.float32),
        draw.standard_normal((10_000, 384), dtype=np.float32),
    )


def our_search(bank: np.ndarray, queries: np.ndarray) -> None:
    search(bank, queries, 30, distance="cosine", device="cpu")


ANN = {
    "ivf, sq8": Knn(**COSINE, index="ivf", storage="sq8"),
    "hnsw, fp32": Knn(**COSINE, index="hnsw"),
}
ASKED = 10  # neighbours


def bench_ann() -> list[Row]:
    """Our indexes beside the same of bare faiss, which has all rows in memory at once."""
    bank, queries = structured(30_000), structured(1000, seed=1)
    exact = Bank(bank, distance="cosine", device="cpu")
    nearest = exact.search(queries, ASKED)[0].rows
    unit, asked = unit_rows(bank), unit_rows(queries)
    built, searched, recalls = [], [], []
    with tempfile.TemporaryDirectory() as work:
        for name, settings in ANN.items():
            path = Path(work) / "bank.faiss"
            ours = seconds(lambda p=path, s=settings: build(bank, s, p))
            theirs = bare_index(settings, len(bank))
            bare = seconds(lambda t=theirs, s=settings: fill(t, unit, s))
            index = Index(path, settings, "cpu")
            found = recall(index, exact, queries, [ASKED])
            size = path.stat().st_size / bank.nbytes
            built.append(f"{name}: {ours / bare:.2f} × ({ours:.1f} s, {size:.2f} of the bank)")
            effort = "nprobe=32" if settings.index == "ivf" else "efSearch=128"
            faiss.ParameterSpace().set_index_parameters(theirs, effort)
            slow = [seconds(lambda i=index: i.search(queries, ASKED)) for _ in range(3)]
            fast = [seconds(lambda t=theirs: t.search(asked, ASKED)) for _ in range(3)]
            whole = seconds(lambda: exact.search(queries, ASKED))
            ratio = statistics.median(slow) / statistics.median(fast)
            part = statistics.median(slow) / whole
            searched.append(f"{name}: {ratio:.2f} × ({part:.2f} of the exact search)")
            got = theirs.search(asked, ASKED)[1]
            hits = [np.isin(g, n).mean() for g, n in zip(got, nearest, strict=True)]
            recalls.append(f"{name}: {found.share:.3f}, bare {np.mean(hits):.3f}")
    peaks = [json.loads(rss("rss-ann", images=ours)) for ours in (1, 0)]
    of = "of 30 k × 384, 1000 queries, k = 10, against bare faiss"
    return [
        (f"build of an index {of}", "; ".join(built), "≤ 1.15 ×"),
        (f"search of an index {of}", "; ".join(searched), "≤ 1.15 ×"),
        (f"recall@10 of an index {of}", "; ".join(recalls), "equal"),
        (
            "memory to build ivf, sq8 of 200 k × 384 (293 MiB), beside the bank",
            f"{peaks[0]} MiB, bare faiss {peaks[1]} MiB",
            "less than bare faiss",
        ),
    ]


def structured(rows: int, seed: int = 0) -> np.ndarray:
    """Rows [n, 384] of 32 dimensions in 200 clusters, as features have structure and noise none."""
    shared, draw = np.random.default_rng(7), np.random.default_rng(seed)
    centres, basis = shared.normal(size=(200, 32)), shared.normal(size=(32, 384))
    inner = centres[draw.integers(0, 200, rows)] + draw.normal(size=(rows, 32))
    return (inner @ basis).astype(np.float32)


def bare_index(settings: Knn, rows: int) -> faiss.Index:
    kind = "HNSW32,Flat" if settings.index == "hnsw" else f"IVF{lists_of(settings, rows)},SQ8"
    return faiss.index_factory(384, kind, faiss.METRIC_INNER_PRODUCT)


def fill(index: faiss.Index, unit: np.ndarray, settings: Knn) -> None:
    draw = np.random.default_rng(settings.seed).permutation(len(unit))[: settings.train]
    if not index.is_trained:
        index.train(unit[np.sort(draw)])
    index.add(unit)


def rss_ann(ours: bool) -> int:
    """Peak memory in MiB beside a bank while its index is built: by us, or by bare faiss."""
    settings = Knn(**COSINE, index="ivf", storage="sq8", lists=64, train=10_000)
    bank = structured(200_000)
    Path("/proc/self/clear_refs").write_text("5")
    before = memory("VmRSS")
    if ours:
        with tempfile.TemporaryDirectory() as work:
            build(bank, settings, Path(work) / "bank.faiss")
    else:
        fill(faiss.index_factory(384, "IVF64,SQ8", 0), unit_rows(bank), settings)
    return memory("VmHWM") - before


def bench_large() -> list[Row]:
    """What grows with the bank or with the objects, and what limits it."""
    sizes = (250_000, 500_000, 1_000_000, 2_000_000)
    peaks = [json.loads(rss("rss-bank", images=rows)) for rows in sizes]
    slope = (peaks[-1][0] - peaks[0][0]) / (sizes[-1] - sizes[0]) * 1e6
    rng = np.random.default_rng(0)
    objects, few = clusters_of_objects(20_000), np.sort(rng.permutation(20_000)[:5000])
    features = rng.normal(size=(500, 96))[objects.instance] + 2 * rng.normal(size=(20_000, 96))
    found = {}
    for name, asking in (("all", None), ("5000", few)):
        start = time.perf_counter()
        answers = retrieve(
            features.astype(np.float32),
            objects,
            relevant="instance",
            frame_distance=None,
            distance="cosine",
            asking=asking,
        )
        found[name] = f"{time.perf_counter() - start:.1f} s, mAP {answers.ap.mean():.4f}"
    known = Labelled(
        structured(20_000)[:, :96], rng.integers(0, 9, 20_000), np.arange(20_000) // 999
    )
    knn = Knn(**COSINE)
    chosen = {
        most: seconds(
            lambda m=most: choose_m(
                sampled(known, m, 0), 9, [0, 24, 48], k=10, knn=knn, folds=4, device="cpu"
            )
        )
        for most in (20_000, 5000)
    }
    times = ", ".join(f"{time:.0f} s" for _, time in peaks)
    return [
        (
            "memory of an exact search in a bank of 0.25, 0.5, 1, 2 M × 384 in its file, "
            "`limits.memory_gb: 2`, 64 queries, beside what was there",
            f"{', '.join(str(peak) for peak, _ in peaks)} MB ({times}); {slope:.0f} MB per million",
            "≤ 500 MB, which the limit leaves",
        ),
        ("retrieval among 20 000 objects: all ask, 5000 ask", "; ".join(found.values()), "linear"),
        (
            "choice of m on 20 000 patches, on 5000 of them",
            ", ".join(f"{time:.1f} s" for time in chosen.values()),
            "quadratic",
        ),
    ]


def clusters_of_objects(count: int) -> Objects:
    number = np.arange(count)
    none, weights = np.zeros(count, dtype=np.int64), np.zeros((count, 1))
    return Objects(
        row=number,
        instance=number % 500,
        class_id=none,
        fine_class=none,
        sequence=number // 40,
        frame=none,
        number=number,
        evaluated=np.ones(count, dtype=bool),
        box=np.zeros((count, 4)),
        size=np.ones(count),
        weights=weights,
    )


def rss_bank(rows: int) -> str:
    """Peak anonymous memory in MB and seconds of an exact search in a feature file, as JSON.

    Pages of the file are not counted: the system takes them back when memory is short.
    """
    each, held = 1024, int((2 - 1) / 2 * 1e9 / (COPIES * 4 * 384))
    images = [str(number) for number in range(-(-rows // each))]
    header = Header("d", "s", "m", "w", images, (32, 32), 384, [0], True, "float16", "v", 14)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as work:
        part, out = Path(work) / "part", Path(work) / "bank.safetensors"
        with part.open("wb") as stream:
            for _ in images:
                stream.write((rng.random((each, 384), np.float32) - 0.5).astype(np.float16).data)
        write(header, {0: [part]}, out)
        part.unlink()
        file = FeatureFile(out)
        bank = Mapped(lambda r: file.images(images[r.start : r.stop], 0), np.arange(rows), each)
        queries = rng.random((64, 384), np.float32) - 0.5
        search(bank[:5000], queries, 10, distance="cosine", device="cpu")
        before, peak, done = memory("RssAnon"), 0, threading.Event()

        def watch() -> None:
            nonlocal peak
            while not done.wait(0.005):
                peak = max(peak, memory("RssAnon"))

        watching = threading.Thread(target=watch)
        watching.start()
        took = seconds(
            lambda: search(bank, queries, 10, distance="cosine", device="cpu", held=held)
        )
        done.set()
        watching.join()
    return json.dumps([peak - before, took])


def bench_sweep(rounds: int = 5) -> list[Row]:
    """Twelve nested kept sets, cosine, beside twelve separate searches."""
    sizes = ((192, 4096, 8192), (768, 16384, 2048))  # width, bank, queries
    rows = []
    for k, bound in ((1, "≤ 0.5 ×"), (10, "none (k of the default)")):
        found = [
            f"{sweep_ratio(*size, k, rounds):.2f} × ({size[1]} × {size[0]} bank)" for size in sizes
        ]
        what = f"k-NN sweep of 12 values of m, k = {k}"
        rows.append((what, f"{', '.join(found)} of 12 searches", bound))
    return rows


def sweep_ratio(width: int, bank_size: int, query_size: int, k: int, rounds: int) -> float:
    draw = np.random.default_rng(0)
    bank = draw.standard_normal((bank_size, width), dtype=np.float32)
    queries = draw.standard_normal((query_size, width), dtype=np.float32)
    order = draw.permutation(width)
    sizes = sorted({width - round(m * width / 768) for m in DROPPED})
    kept = [np.sort(order[:size]) for size in sizes]
    cpu = "cpu"

    def apart() -> None:
        for columns in kept:
            search(bank[:, columns], queries[:, columns], k, distance="cosine", device=cpu)

    def nested() -> None:
        made = Bank(bank, distance="cosine", device=cpu, order=order, sizes=sizes)
        made.search(queries, k)

    return statistics.median([seconds(nested) / seconds(apart) for _ in range(rounds)])


def bench_propagation(rounds: int = 3) -> list[Row]:
    """DAVIS label propagation of a 480p frame beside the bare forward that its features take."""
    model = timm.create_model(ARCH, img_size=(476, 854), num_classes=0).eval()
    settings = Propagation(queue=7, radius=12, top=5, temperature=0.1)
    draw = torch.Generator().manual_seed(0)
    frames = torch.randn((settings.queue + 4, 34, 61, 384), generator=draw)
    first = one_hot(torch.zeros((480, 854), dtype=torch.long), 3, (34, 61))
    image, ratios = torch.rand((1, 3, 476, 854), generator=draw), []
    for _ in range(rounds):
        with torch.inference_mode():
            forward = seconds(lambda: model.forward_features(image))
        carried = propagate(frames, first, settings)
        for _ in range(settings.queue):  # until the queue is full
            next(carried)
        each = [seconds(lambda c=carried: enlarge(next(c), (480, 854))) for _ in range(3)]
        ratios.append(forward / statistics.median(each))
    return [
        (
            "DAVIS label propagation at 476×854, 34×61 patches, D = 384, queue full",
            f"{statistics.median(ratios):.1f} × the frame rate of the bare ViT-S/14 forward",
            "≥ 0.5 ×",
        )
    ]


def bench_repro() -> list[Row]:
    """The embedded default in a fresh clone: from scratch, with nothing to do, with another k."""
    with tempfile.TemporaryDirectory() as work:
        clone = Path(work) / "clone"
        run("git", "clone", "-q", str(ROOT), str(clone), cwd=ROOT)
        env = os.environ | {"PYTHONPATH": str(clone / "src")}
        run("dvc", "cache", "dir", "--local", f"{work}/cache", cwd=clone)
        (clone / "dvc.lock").unlink()  # with it DVC would take metrics out of Git for done
        shutil.rmtree(clone / "metrics")
        by_twos = ["patchlens", "repro", "--jobs", str(THREADS)]
        whole = seconds(lambda: run(*by_twos, cwd=clone, env=env))
        nothing = seconds(lambda: run("dvc", "repro", cwd=clone, env=env))
        tasks = {
            stage: seconds(
                lambda s=stage, d=name: run("patchlens", s, "random", d, cwd=clone, env=env)
            )
            for stage, name in OBJECT_TASKS.items()
        }
        params = clone / "params.yaml"
        params.write_text(params.read_text().replace("\n  k: 10\n", "\n  k: 1\n"))
        printed = run("dvc", "repro", "--dry", cwd=clone, env=env)
    again = [line.split("'")[1] for line in printed.splitlines() if "Running stage" in line]
    counts = Counter(stage.split("@")[0] for stage in again)
    stages = ", ".join(f"{stage} ({count})" for stage, count in counts.items())
    return [
        (
            f"`make repro`, embedded default from scratch, {THREADS} models at a time",
            f"{whole / 60:.1f} min",
            "< 15 min",
        ),
        (
            f"{', '.join(tasks)} of `random`",
            f"{sum(tasks.values()):.0f} s ({', '.join(f'{t:.0f}' for t in tasks.values())})",
            "≤ 45 s per mini model",
        ),
        ("`dvc repro`, nothing to do", f"{nothing:.1f} s", "< 5 s"),
        (
            "`dvc repro --dry` after `segmentation.k` 10 → 1",
            f"{stages}; then `tables` and `claims` (run in tests/pipeline)",
            "stages that use k, and those after them",
        ),
    ]


def rss_extract(images: int) -> int:
    """Peak resident memory in MB of this process after extracting so many images."""
    with tempfile.TemporaryDirectory() as work:
        paths, extractor, read = prepare(Path(work), images)
        extract(extractor, paths, read, Path(work))
    return memory("VmHWM")  # ru_maxrss would begin at what the parent process has


def rss_knn() -> str:
    """Resident memory in MB before the search, and its peak during it, as JSON."""
    bank, queries = arrays()
    our_search(bank[:100], queries[:10])
    Path("/proc/self/clear_refs").write_text("5")  # Linux: forget the peak of the imports
    before = memory("VmRSS")
    our_search(bank, queries)
    return json.dumps([before, memory("VmHWM")])


def memory(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) // 1024
    sys.exit(f"/proc/self/status has no {field}")


def rss(part: str, images: int = 0, root: Path = ROOT) -> str:
    command = [sys.executable, __file__, "--part", part, "--images", str(images)]
    command += ["--root", str(root)]
    return run(*command, cwd=ROOT).strip().splitlines()[-1]


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def run(*command: str, cwd: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
