"""Extraction: images through a frozen backbone into a feature file; killed runs are resumed."""

import hashlib
import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from patchlens.backbones.contract import Backbone, absolute_layers, flop, unlike
from patchlens.errors import DataError, SettingsError
from patchlens.features.device import Where
from patchlens.features.store import FeatureFile, Header, write
from patchlens.features.views import cut, stitch, tile_counts
from patchlens.files import check_space, file_hash, whole_folder, write_json
from patchlens.progress import bar, log
from patchlens.settings.datasets import View
from patchlens.settings.features import Features, Precision
from patchlens.stored import read_json

if TYPE_CHECKING:
    from patchlens.cluster import Helpers

SHARD = 256  # images per shard; a killed run loses at most one shard
HASH = "blake2b"
CHECK = "check.json"  # in a shard: the hash of each of its files
AHEAD = 2  # batches decoded ahead of the model
AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}

ReadImage = Callable[[str], Image.Image]
Batch = NDArray[np.uint8]
Tiles = tuple[int, int]  # rows and columns
Tokens = NDArray[np.generic]


@dataclass(frozen=True)
class ImageSource:
    """The images to extract: their ids, and a function that reads one."""

    image_ids: Sequence[str]
    read: ReadImage


class Shard(NamedTuple):
    """Some images of a feature file, with the tiles of each, and the folder of their features."""

    image_ids: Sequence[str]
    tiles: Tiles
    folder: Path


class Extractor:
    """A backbone on its device with the settings of its features.

    Raises:
        SettingsError: `precision: tf32` without a CUDA GPU, which alone has it.
        ValueError: a layer does not exist, or the input size is not a multiple of the patch size.
    """

    def __init__(self, backbone: Backbone, view: View, features: Features, device: Where) -> None:
        self._backbone = backbone.to(torch.device(device))
        self._view = view
        self._size = view.input_size(backbone.patch_size)
        if self._size[0] % backbone.patch_size or self._size[1] % backbone.patch_size:
            raise ValueError(
                f"view.pixels {list(self._size)} is not a multiple of the patch size "
                f"{backbone.patch_size}"
            )
        if features.precision == "tf32" and device != "cuda":
            raise SettingsError(
                f"params.yaml: features.precision: tf32 needs a CUDA GPU, and the device is "
                f"{device}; use fp32 or bf16"
            )
        self._features = features
        self._device = device
        wanted = [features.layer, *features.layer_sweep]
        # A floor without blocks has one layer, whatever the settings say.
        self.layers = list(dict.fromkeys(absolute_layers(wanted, backbone.depth) or [0]))
        if others := sorted(set(self.layers) - set(backbone.layers or [0])):
            raise ValueError(unlike(self.layers[0], others))

    def run(
        self,
        source: ImageSource,
        header: Header,
        work: Path,
        out: Path,
        helpers: "Helpers[Shard, int] | None" = None,
    ) -> float | None:
        """Extract all images of `source` into the feature file `out`.

        Args:
            source: the images.
            header: the header of the file; grid, width and layers are filled in here.
            work: folder for shards; those of an interrupted run with the same header are reused
                if they are whole. The caller removes it when its outputs are complete.
            out: the feature file.
            helpers: other processes, which make shards too.

        Raises:
            MachineError: the shards and the file do not fit on the disk; nothing is written.

        Returns:
            Images per second with decoding and writing; None if all shards already existed.
        """
        first = source.image_ids[0]
        tiles = self._tiles(source.read(first), first)
        header = self._complete(header, tiles)
        key = hashlib.sha256(json.dumps(vars(header)).encode()).hexdigest()[:16]
        folder = work / key
        size = header.bytes
        kept = sum(file.stat().st_size for file in folder.glob("*/*"))
        needed = [(folder, size - kept), (out.parent, size)]
        check_space(f"the features of {header.model}", needed)
        folder.mkdir(parents=True, exist_ok=True)
        ids = list(header.image_ids)
        starts = range(0, len(ids), SHARD)
        shards = [Shard(ids[i : i + SHARD], tiles, folder / f"{i // SHARD:05d}") for i in starts]
        start = time.perf_counter()
        with bar(total=len(ids), what=f"{header.model} × {header.dataset} {header.split}") as shown:
            missing = [shard for shard in shards if not self._whole(shard.folder)]
            fresh = sum(len(shard.image_ids) for shard in missing)
            shown.update(len(ids) - fresh)

            def here(shard: Shard) -> int:
                self.shard(source.read, shard, shown.update)
                return 0  # is left to be shown

            if helpers and len(missing) > 1:
                for _, images in helpers.deal(missing, here):
                    shown.update(images)
            else:
                for shard in missing:
                    here(shard)
            write(header, {n: [s.folder / str(n) for s in shards] for n in self.layers}, out)
        seconds = time.perf_counter() - start
        return fresh / seconds if fresh else None

    def held(self, source: ImageSource, header: Header) -> FeatureFile:
        """What `run` writes, in memory instead; errors of images and features as there."""
        first = source.image_ids[0]
        tiles = self._tiles(source.read(first), first)
        parts: list[list[NDArray[np.generic]]] = [[] for _ in self.layers]
        with bar(total=len(source.image_ids), what=f"{header.model} × {header.split}") as shown:
            for batch in self._tokens(source, tiles):
                for part, tokens in zip(parts, batch, strict=True):
                    part.append(tokens)
                shown.update(len(batch[0]))
        tensors = {n: np.concatenate(part) for n, part in zip(self.layers, parts, strict=True)}
        return FeatureFile.held(self._complete(header, tiles), tensors)

    def gflops(self, source: ImageSource) -> float:
        """GFLOPs per image with all its tiles; one multiply-add counts as two."""
        first = source.image_ids[0]
        tiles = self._tiles(source.read(first), first)
        views = torch.from_numpy(self._views(source, first, tiles))
        first_view, norm = views[:1].to(self._device), self._features.norm
        one = flop(self._backbone, first_view, layers=self.layers[:1], norm=norm)
        return one * len(views) / 1e9

    def _complete(self, header: Header, tiles: Tiles) -> Header:
        """Fill in grid, width and layers."""
        patch = self._backbone.patch_size
        grid = (tiles[0] * self._size[0] // patch, tiles[1] * self._size[1] // patch)
        width = self._backbone.channels(self._features.norm)
        return replace(header, grid=grid, width=width, layers=self.layers)

    def _tiles(self, image: Image.Image, image_id: str) -> Tiles:
        try:
            return tile_counts(self._view, (image.height, image.width))
        except ValueError as error:
            raise DataError(f"image '{image_id}': {error}; change view.tile") from None

    def _views(self, source: ImageSource, image_id: str, tiles: Tiles) -> Batch:
        image = source.read(image_id)
        found = self._tiles(image, image_id)
        if found != tiles:
            raise DataError(
                f"image '{image_id}': {found[0]}×{found[1]} tiles, but the first image has "
                f"{tiles[0]}×{tiles[1]}; all images must have the same size to be tiled: use "
                "view.mode: whole"
            )
        return cut(image, self._view, self._size, self._backbone.interpolation)

    def shard(self, read: ReadImage, shard: "Shard", done: Callable[[int], Any] = bool) -> int:
        """Make the folder of a shard; `done` hears of every batch. How many images it has."""
        source = ImageSource(shard.image_ids, read)
        with whole_folder(shard.folder) as folder:
            streams = [(folder / str(layer)).open("wb") for layer in self.layers]
            try:
                for batch in self._tokens(source, shard.tiles):
                    for stream, tokens in zip(streams, batch, strict=True):
                        stream.write(tokens.data)
                    done(len(batch[0]))
            finally:
                for stream in streams:
                    stream.close()
            write_json(self._hashes(folder), folder / CHECK)
        return len(shard.image_ids)

    def _tokens(self, source: ImageSource, tiles: Tiles) -> Iterator[list[NDArray[np.generic]]]:
        """Features [b, h, w, D] of each layer, of a batch of images at a time.

        A GPU works on the next batch while those of this one are copied and written.
        """
        before: list[_Launched] = []
        for views in self._decoded(source, tiles):
            launched = self._launch(np.concatenate(views))
            if before:
                yield self._stored(before, tiles)
            before = launched
        yield self._stored(before, tiles)

    def _hashes(self, shard: Path) -> dict[str, str]:
        return {str(layer): file_hash(shard / str(layer), HASH) for layer in self.layers}

    def _whole(self, shard: Path) -> bool:
        """Whether an interrupted run left this shard, as it wrote it."""
        if not shard.exists():
            return False
        try:
            if read_json(shard / CHECK) == self._hashes(shard):
                return True
        except (OSError, ValueError, DataError):
            pass  # cut short, or made by an earlier version
        log.warning("%s: damaged; discarded and made again", shard)
        return False

    def _decoded(self, source: ImageSource, tiles: Tiles) -> Iterator[list[Batch]]:
        """Batches of decoded images; each core decodes the next ones while the model runs."""
        size, ids = self._features.batch_size, iter(source.image_ids)
        with ThreadPoolExecutor(max_workers=torch.get_num_threads()) as pool:
            waiting: deque[Future[Batch]] = deque()

            def ask(count: int) -> None:
                for image_id in islice(ids, count):
                    waiting.append(pool.submit(self._views, source, image_id, tiles))

            ask((1 + AHEAD) * size)
            while waiting:
                yield [waiting.popleft().result() for _ in range(min(size, len(waiting)))]
                ask(size)

    def _launch(self, views: Batch) -> list["_Launched"]:
        """Tokens [V, h, w, D] of each layer, `batch_size` at a time; on a GPU, not yet there."""
        size, on_gpu = self._features.batch_size, self._device == "cuda"
        dtype = torch.float16 if self._features.dtype == "float16" else torch.float32
        out = []
        for i in range(0, len(views), size):
            batch = torch.from_numpy(views[i : i + size])
            batch = batch.pin_memory() if on_gpu else batch
            batch = batch.to(self._device, non_blocking=on_gpu)
            with computed_in(self._features.precision, self._device):
                found = self._backbone(batch, layers=self.layers, norm=self._features.norm)
            # NaN and infinity are the largest of all.
            largest = torch.stack([tokens.patches.abs().amax().float() for tokens in found])
            kept = [tokens.patches.to(dtype) for tokens in found]
            done: torch.cuda.Event | None = None
            if on_gpu:
                kept, largest = [_to_host(one) for one in kept], _to_host(largest)
                done = torch.cuda.Event()  # type: ignore[no-untyped-call]
                done.record()
            else:
                kept, largest = [one.cpu() for one in kept], largest.cpu()
            out.append(_Launched(kept, largest, done))
        return out

    def _stored(self, launched: "Sequence[_Launched]", tiles: Tiles) -> list[Tokens]:
        """Features [b, h, w, D] of each layer in the dtype of the file, all of them finite."""
        for one in launched:
            if one.done is not None:
                one.done.synchronize()
            for layer, largest in zip(self.layers, one.largest, strict=True):
                self._check_finite(layer, largest)
        views = [
            torch.cat(parts).numpy() for parts in zip(*(o.kept for o in launched), strict=True)
        ]
        if tiles == (1, 1):
            return views
        return [
            np.stack([stitch(one, *tiles) for one in np.split(v, len(v) // (tiles[0] * tiles[1]))])
            for v in views
        ]

    def _check_finite(self, layer: int, largest: Tensor) -> None:
        if not largest.isfinite():
            raise DataError(
                f"layer {layer}: a NaN or infinite feature; check the weights, and "
                "mean and std of the model"
            )
        if self._features.dtype == "float16" and not largest.half().isfinite():
            raise DataError(
                f"layer {layer}: a feature of {largest:g} is beyond float16 (65504); "
                "set features.dtype: float32"
            )


class _Launched(NamedTuple):
    """What a forward pass gives: tokens of each layer, the largest of each, and when it is done."""

    kept: list[Tensor]
    largest: Tensor
    done: "torch.cuda.Event | None"


def _to_host(tensor: Tensor) -> Tensor:
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return host.copy_(tensor, non_blocking=True)


@contextmanager
def computed_in(precision: Precision, device: Where) -> Iterator[None]:
    """Run matrix products and convolutions in this precision; weights and norms stay float32."""
    if precision in AUTOCAST:
        with torch.autocast(device, AUTOCAST[precision]):
            yield
        return
    kinds: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [kind.allow_tf32 for kind in kinds]
    for kind in kinds:
        kind.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        for kind, allowed in zip(kinds, before, strict=True):
            kind.allow_tf32 = allowed
