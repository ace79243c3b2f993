"""The tables of cases: what is done to a miniature, and which commands meet it.

Each part is a function of the reproduced folder, of dice, and of the type `Case`.
"""

import hashlib
import os
import random
import resource
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

MARK = "EXECUTED"
OWN = {
    "kind": "folder",
    "root": "own",
    "view": {"mode": "whole", "grid": "equal", "patches": [6, 8]},
    "support": {"split": "support", "images": 2, "per": "total", "seeds": [0, 1]},
    "query": {"split": "query", "images": "all", "per": "total", "unit": "image"},
}
ABOUT = {
    "classes": ["road", "car", "person"],
    "ignore": [255],
    "splits": {"support": ["a", "b", "c"], "query": ["d", "e", "f"]},
}
READ = ["manifest own", "index own"]
SCORE = [
    *READ,
    "weights pixels",
    "extract pixels own",
    "prune pixels own",
    "segmentation pixels own",
]


def own(folder: Path) -> None:
    """A folder dataset of six stills with masks, and the settings that use it."""
    dice = np.random.default_rng(0)
    for number, name in enumerate("abcdef"):
        for kind in ("images", "masks"):
            (folder / "own" / kind).mkdir(parents=True, exist_ok=True)
        pixels = dice.integers(0, 255, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"own/images/{name}.png")
        mask = np.zeros((48, 64), np.uint8)
        mask[:, 20:], mask[24:, 40:] = 1, 2
        Image.fromarray(np.roll(mask, 5 * number, 1)).save(folder / f"own/masks/{name}.png")
    write(folder / "own/dataset.yaml", ABOUT)
    params = load(folder)
    params["datasets"]["own"] = OWN
    params["fetch"]["placed"] = ["own"]
    write(folder / "params.yaml", params)


def load(folder: Path = Path()) -> Any:
    return yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))


def write(path: Path, content: Any) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")


def put(path: str, content: bytes | str) -> Callable[[], object]:
    """Put a file in the place of another one."""
    data = content if isinstance(content, bytes) else content.encode()
    return lambda: Path(path).write_bytes(data)


def setting(keys: Sequence[str], value: Any) -> Callable[[], None]:
    """Change one setting; a key that is missing is added."""

    def change() -> None:
        params = load()
        place = params
        for key in keys[:-1]:
            place = place.setdefault(key, {})
        place[keys[-1]] = value
        write(Path("params.yaml"), params)

    return change


def about(**changes: Any) -> Callable[[], None]:
    return lambda: write(Path("own/dataset.yaml"), ABOUT | changes)


def instead(path: str, make: Callable[[Path], object]) -> Callable[[], None]:
    """Something else than a file in its place."""

    def change() -> None:
        Path(path).unlink()
        make(Path(path))

    return change


NO_FILES: dict[str, Callable[[Path], object]] = {
    "a folder": lambda path: path.mkdir(),
    "a FIFO": lambda path: os.mkfifo(path),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "a device": lambda path: path.symlink_to("/dev/zero"),
}
TEXTS: dict[str, bytes] = {
    "empty": b"",
    "not UTF-8": b"\xff\xfe\x00a",
    "NUL": b"a: \x00\n",
    "a list": b"- 1\n",
    "cut": b"models: {dino: {",
    "deep": b"a: " + b"[" * 5000,
    "anchors that explode": b"a: &a [x,x,x,x,x,x,x,x,x]\n"
    + b"".join(b"%c: &%c [%s]\n" % (n, n, b",".join([b"*%c" % (n - 1)] * 9)) for n in b"bcdefghi"),
    "a recursive anchor": b"models: &a {dino: *a}\n",
    "a tag that calls": b"models: !!python/object/apply:os.system ['touch EXECUTED']\n",
}
VALUES = (
    *(None, "x", "", "0100", True, -1, 0, 1e30, float("nan"), float("inf"), 10**400, [], {}, [[]]),
    *([None], ["x"] * 300, "a" * 300, "é\u202e", "$(touch EXECUTED)", {"x": {"y": 1}}, -1e-300),
)
IMAGES: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "text": lambda: b"no image\n",
    "cut": lambda: Path("own/images/d.png").read_bytes()[:200],
    "flipped": lambda: bytes(255 - byte for byte in Path("own/images/d.png").read_bytes()),
    "a bomb": lambda: png(50000, 50000),
    "without pixels": lambda: png(0, 0),
    "a script": lambda: b"<svg xmlns='http://www.w3.org/2000/svg'><script>x</script></svg>",
}


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (b"IHDR", head), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def leaves(content: Any, keys: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield keys
    for key, value in content.items() if isinstance(content, dict) else ():
        yield from leaves(value, (*keys, str(key)))


def inputs(base: Path, dice: random.Random, case: Any) -> Iterator[Any]:
    """Settings, annotations and images that are wrong."""
    places = sorted({keys for keys in leaves(load(base)) if keys})
    for _ in range(120):
        keys, value = dice.choice(places), dice.choice(VALUES)
        name = f"{'.'.join(keys)}: {value!r:.60}"
        yield case("a value of params.yaml", name, setting(keys, value), ["plan"], refused=False)
    for keys in dice.sample(places, 15):
        misspelt = (*keys[:-1], f"{keys[-1]}x")
        yield case("a misspelt key", ".".join(misspelt), setting(misspelt, 1), ["plan"])
    for file, command in (
        ("params.yaml", "plan"),
        ("claims.yaml", "claims"),
        ("own/dataset.yaml", "index own"),
        ("dvc.yaml", "plan"),
    ):
        for name, text in TEXTS.items():
            yield case(f"{file}, whole", name, put(file, text), [command])
        for name, make in NO_FILES.items():
            yield case(f"{file}, whole", name, instead(file, make), [command])
    for kind in ("images", "masks"):
        file = f"own/{kind}/d.png"
        for name, content in IMAGES.items():
            harm = lambda file=file, content=content: Path(file).write_bytes(content())  # noqa: E731
            yield case("an image or mask", f"{file}: {name}", harm, READ)
        for name, make in NO_FILES.items():
            yield case("an image or mask", f"{file}: {name}", instead(file, make), READ)
    for name, pixels, refused in (
        ("16-bit colour", np.full((48, 64), 40000, np.uint16), False),
        ("floats", np.full((48, 64), 0.5, np.float32), True),
        ("NaN", np.full((48, 64), np.nan, np.float32), True),
    ):
        harm = lambda pixels=pixels: Image.fromarray(pixels).save("own/images/d.png", format="TIFF")  # noqa: E731
        yield case("an image or mask", name, harm, SCORE, refused=refused)
    ignored = np.full((48, 64), 255, np.uint8)
    harm = lambda: [Image.fromarray(ignored).save(f"own/masks/{name}.png") for name in "def"]  # noqa: E731
    yield case("an image or mask", "all of the query ignored", harm, SCORE)
    for name in (b"z\xff.txt", b"new\nline.png", b" ", b"-rf", b"z" * 255):
        harm = lambda name=name: Path(os.fsdecode(b"own/images/" + name)).write_bytes(b"x")  # noqa: E731
        yield case("a name of a file", repr(name)[:40], harm, READ, refused=False)
    for arguments in (
        "compare nope nope",
        "compare . own",
        "compare metrics metrics --tolerance nan",
    ):
        yield case("a gate on nothing", arguments, lambda: None, [arguments], results=True)


CELLS = "segmentation random minicity", "sweep random minicity", "variance random minicity"
READERS = {  # what a stage leaves, and what reads it
    "data/index/minicity/*": [*CELLS, "tables"],
    "data/index/minicity_video/*": ["tracking random minicity_video", "tables", "explorer"],
    "data/weights/random.safetensors": ["extract random minicity"],
    "data/features/minicity/random/*": ["prune random minicity", *CELLS],
    "data/moments/minicity/random.safetensors": [*CELLS],
    "data/degraded/minicity/random.safetensors": ["identification random minicity"],
    "data/tracks/minicity_video/random/raw/mot/*": ["explorer"],
    "data/raw/minicity/*/*/*.png": ["index minicity", "extract random minicity"],
    "data/explorer/*.json": ["report"],
    "data/explorer/*/*.json": ["report"],
    "data/code/*": ["tables", "report"],
    "metrics/cells/minicity/random/*.json": ["tables", "claims", "report"],
    "metrics/cells/minicity/random/*.csv": [
        "sweep random minicity",
        "tables",
        "report",
    ],
    "metrics/cells/minicity/random/*.parquet": ["tables", "claims", "report"],
    "metrics/tables/*": ["report"],
    "metrics/claims/*": ["report"],
    "metrics/weights/random.json": ["weights random", "report"],
}


def damaged(base: Path, dice: random.Random, case: Any) -> Iterator[Any]:
    """Every kind of file between two stages, cut short, flipped or of another type."""
    case = partial(case, refused=False, results=True)
    for pattern, commands in READERS.items():
        found = sorted(path.relative_to(base) for path in base.glob(pattern) if path.is_file())
        if not found:
            sys.exit(f"{base}: has no {pattern}, so its cases would check nothing")
        for path in dice.sample(found, min(2, len(found))):
            good = (base / path).read_bytes()
            flipped = bytearray(good)
            flipped[dice.randrange(len(good))] ^= 1 << dice.randrange(8)
            harms = {
                "empty": b"",
                "cut": good[: dice.randrange(1, max(2, len(good)))],
                "flipped": bytes(flipped),
                "another type": dice.choice(
                    [b"[]", b"null\n", b"\x00" * 64, b"\xff\xfe\n", b"a,b\n1,2\n"]
                ),
            }
            for name, content in harms.items():
                harm = put(str(path), content)
                yield case(f"{Path(pattern).parent}", f"{path}: {name}", harm, commands)
            yield case(f"{Path(pattern).parent}", f"{path}: missing", Path(path).unlink, commands)


def pickled(path: str) -> None:
    import torch

    torch.save({"state_dict": {}, "evil": Evil()}, path)


class Evil:
    """A pickle that runs a command when it is opened carelessly."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {Path.cwd() / MARK}",)


def weight_file(path: str, make: Callable[[str], object]) -> Callable[[], None]:
    """A model whose file is made by `make`."""

    def change() -> None:
        make(path)
        digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        small = load()["models"]["random"]["arch_args"]
        model = {"source": "file", "file": path, "sha256": digest, "arch": "vit_tiny_patch16_224"}
        setting(["models", "evil"], model | {"arch_args": small})()

    return change


def malicious(base: Path, dice: random.Random, case: Any) -> Iterator[Any]:
    """What tries to run a command, to read outside its folder, or to write there."""
    for name in (
        "m$(touch EXECUTED)",
        "x;touch EXECUTED;",
        "`touch EXECUTED`",
        "../../x",
        "a b",
        "-f",
    ):
        for section in ("models", "datasets"):

            def harm(section: str = section, name: str = name) -> None:
                setting([section, name], next(iter(load()[section].values())))()

            yield case("a name that is a command", f"{section}: {name}", harm, ["code"])
            yield case("a name that is a command", f"{section}: {name}", harm, ["plan"])
    for end in ("pth", "pt", "bin", "safetensors", "npz", "tar"):
        harm = weight_file(f"evil.{end}", pickled)
        yield case("a pickle with a command", f"evil.{end}", harm, ["weights evil"])
        key = ["models", "random", "arch_args", "checkpoint_path"]

        def load_it(end: str = end, key: list[str] = key) -> None:
            pickled(f"evil.{end}")
            setting(key, f"evil.{end}")()

        yield case("a pickle with a command", f"checkpoint_path: evil.{end}", load_it, ["plan"])
    for key, value in (
        ("act_layer", "os.system"),
        ("norm_layer", "x"),
        ("patch_size", 0),
        ("num_heads", 0),
        ("depth", 10**9),
        ("pretrained", True),
        ("global_pool", "x"),
        ("drop_rate", "x"),
    ):
        harm = setting(["models", "random", "arch_args", key], value)
        yield case("arch_args that are not allowed", f"{key}: {value}", harm, ["plan"])
    for place in ("/etc", "../../../../../../etc", "images/../../..", "~", "\x00"):
        for field in ("sequences", "objects", "images", "masks"):
            value = [place] if field == "sequences" else place
            yield case(
                "a path out of the dataset", f"{field}: {place}", about(**{field: value}), READ
            )
    for name, target in (
        ("images/g.png", "/etc/passwd"),
        ("images/g.png", "/dev/zero"),
        ("more", "/"),
    ):
        harm = lambda name=name, target=target: Path("own", name).symlink_to(target)  # noqa: E731
        yield case("a link out of the dataset", f"{name} -> {target}", harm, READ, refused=False)
    for label in ("<script>x</script>", "=cmd|'/C x'!A0", "![](http://x/y.png)", "a|b\nc", "@x"):
        harm = about(classes=["road", label, "person"])
        yield case("a class that is code", label, harm, SCORE, refused=False)


def limit(what: int, size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(what, (size, size))


def memory() -> None:
    """Only a little more memory than the process has now."""
    used = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
    limit(resource.RLIMIT_AS, used * resource.getpagesize() + (8 << 20))()


def mounted(room: int | None) -> Callable[[], None]:
    """The workspace on a disk of its own with so many free bytes, or None: read-only."""

    def change() -> None:
        work = Path.cwd()
        aside = work.with_name("aside")
        work.rename(aside)
        work.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m", "x", str(work)], check=True)
        shutil.copytree(aside, work, symlinks=True, dirs_exist_ok=True)
        os.chdir(work)
        if room is None:
            subprocess.run(["mount", "-o", "remount,ro", str(work)], check=True)
            return
        free = shutil.disk_usage(work).free - room
        with Path("filler").open("wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, free)

    return change


def unasked() -> None:
    """No look at the free space before a stage begins."""
    from patchlens.cli import application

    application.LEAST = 0


def standard_output(path: str) -> Callable[[], None]:
    return lambda: os.dup2(os.open(path, os.O_WRONLY), 1) and None


STAGES = (
    *("code", "render minicity", "manifest own", "index minicity", "weights random"),
    *("extract random minicity", "prune random minicity", "variance random minicity"),
    *("segmentation random minicity", "sweep random minicity", "degrade random minicity"),
    *("identification random minicity", "retrieval random minicity"),
    *("tracking random minicity_video", "tables", "explorer", "claims"),
)
BY_HAND = (
    *("plan", "doctor", "datasets", "models", "why random minicity", "datasets check minicity"),
    *(
        "show retrieval minicity --model random",
        "compare metrics metrics",
        "clean-metrics",
        "report",
    ),
)


def environments(base: Path, dice: random.Random, case: Any) -> Iterator[Any]:
    """A machine that lacks something."""
    case = partial(case, refused=False, results=True)
    nothing: Callable[[], object] = lambda: None  # noqa: E731
    may_mount = os.geteuid() == 0
    for command in STAGES:
        if may_mount:
            yield case("a full disk", command, mounted(1 << 20), [command], refused=True)
            yield case(
                "a disk that becomes full", command, mounted(1 << 14), [command], limit=unasked
            )
        yield case(
            "a limit on the size of files",
            command,
            nothing,
            [command],
            limit=limit(resource.RLIMIT_FSIZE, 100),
        )
    for command in (*STAGES, *BY_HAND):
        if may_mount:
            yield case("a read-only disk", command, mounted(None), [command])
        yield case("no memory left", command, nothing, [command], limit=memory)
        yield case(
            "few open files", command, nothing, [command], limit=limit(resource.RLIMIT_NOFILE, 12)
        )
    for command in BY_HAND:
        yield case(
            "no room for the output",
            command,
            nothing,
            [command],
            limit=standard_output("/dev/full"),
        )
    for name, change in {
        "HOME": lambda: os.environ.update(HOME="/nonexistent"),
        "TMPDIR": lambda: os.environ.update(TMPDIR="/nonexistent"),
        "PATH": lambda: os.environ.update(PATH=""),
        "LANG": lambda: os.environ.update(LANG="C", LC_ALL="C", PYTHONIOENCODING="ascii"),
        "threads": lambda: os.environ.update(OMP_NUM_THREADS="x"),
    }.items():
        for command in ("plan", "doctor", "index own", "segmentation random minicity", "tables"):
            yield case(
                "a variable of the environment",
                f"{name}: {command}",
                nothing,
                [command],
                limit=change,
            )
    for command in ("report --compare HEAD", "report --compare nope..HEAD"):
        yield case("no Git repository", command, nothing, [command], refused=True)


PARTS: dict[str, Callable[[Path, random.Random, Any], Iterator[Any]]] = {
    "inputs": inputs,
    "damaged": damaged,
    "malicious": malicious,
    "environments": environments,
}
