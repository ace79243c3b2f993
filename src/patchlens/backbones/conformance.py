"""What weights and a model must show before anything is measured with them.

`patchlens models check` reports it. The stage `weights` makes the same checks: what is certain
stops it, what may be meant is a warning.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from patchlens.backbones.checkpoint import some
from patchlens.backbones.contract import Backbone
from patchlens.errors import DataError, PatchlensError, SettingsError, said
from patchlens.progress import log
from patchlens.settings.base import brief

GRID = (3, 4)  # patches: not square and not a stored grid, so that positions are resampled
CLOSE = 1e-3  # of the largest token: what the order of a sum may change
DEAF = 0.01  # of the length of a token: two images differ by more
SLIGHT, ELSEWHERE = 0.1, 0.2  # of the largest move, and share of patches that move another token
WIDE = 50.0  # range of the input after mean and std; 4 to 5 is usual
FLOAT16 = 65504.0
Tokens = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Finding:
    """One check.

    Attributes:
        what: was checked.
        found: what the model shows.
        fault: what is wrong, and how to mend it; "" if nothing is.
        certain: whether no model that is right shows this.
    """

    what: str
    found: str
    fault: str = ""
    certain: bool = False

    def __str__(self) -> str:
        """One line: OK, or what is wrong."""
        return f"{self.what:14}" + (f"WRONG  {self.fault}" if self.fault else f"OK  {self.found}")


def examine(backbone: Backbone, norm: bool) -> list[Finding]:
    """Check a model by its tokens of noise.

    Args:
        backbone: the model, on the CPU.
        norm: whether the final norm is applied, as in `features.norm`.
    """
    rows, columns = small_grid(backbone)
    height, width = rows * backbone.patch_size, columns * backbone.patch_size
    generator = torch.Generator().manual_seed(1)

    def noise(*shape: int) -> Tensor:
        return torch.randint(256, shape, dtype=torch.uint8, generator=generator)

    layer = (backbone.layers or [0])[-1]

    def tokens(images: Tensor, with_norm: bool = norm) -> Tensor:
        return backbone(images, layers=[layer], norm=with_norm)[0].patches

    batch = noise(3, 3, height, width)
    found = tokens(batch)
    wanted = [3, rows, columns, backbone.channels(norm)]
    shape = Finding(
        "shape",
        f"tokens {wanted} of {height}×{width} pixels",
        "" if list(found.shape) == wanted else f"{list(found.shape)} instead of {wanted}",
        certain=True,
    )
    if shape.fault or not found.isfinite().all():
        broken = "NaN or infinite tokens; check the weights, mean and std"
        return [shape] if shape.fault else [shape, Finding("values", "", broken, certain=True)]
    return [
        shape,
        *_repeated(found, tokens, batch),
        _order(found[0], tokens, batch[0], noise(3, height, width), (rows, columns)),
        *_input(backbone, found, tokens, batch),
        _dimensions(found.flatten(0, 2)),
        _layers(backbone, batch, norm),
        _norm(found, tokens(batch, False)) if norm else Finding("norm", "final norm not applied"),
        _dtype(found),
    ]


def check(backbone: Backbone, norm: bool, origin: str) -> None:
    """Examine a model at the stage `weights`: warn of what may be meant, refuse the rest.

    Raises:
        DataError: one line per certain fault.
    """
    faults = [finding for finding in examine(backbone, norm) if finding.fault]
    if certain := [f"{origin}: {f.what}: {f.fault}" for f in faults if f.certain]:
        raise DataError("\n".join(certain))
    for finding in faults:
        log.warning("%s: %s: %s", origin, finding.what, finding.fault)


def check_values(tensors: Mapping[str, Tensor], origin: str) -> None:
    """Refuse weights that no training leaves.

    Raises:
        DataError: names the tensors with a NaN or infinite value, and the matrices of zeros.
    """
    broken = [n for n, t in tensors.items() if t.is_floating_point() and not t.isfinite().all()]
    empty = [n for n, t in tensors.items() if t.ndim > 1 and n.endswith("weight") and not t.any()]
    for names, what in ((broken, "NaN or infinite values"), (empty, "nothing but zeros")):
        if names:
            raise DataError(f"{origin}: {what} in {some(names)}; take another file or checkpoint")


def check_forward(backbone: Backbone, norm: bool, where: str, arch: str, origin: str) -> None:
    """Refuse a model that cannot give tokens of two small images of noise, or ignores them.

    Args:
        backbone: the model, on the CPU.
        norm: whether the final norm is applied, as in `features.norm`.
        where: the slot of the model, for messages.
        arch: its architecture, for messages.
        origin: where its weights are from, for messages.

    Raises:
        SettingsError: the architecture fails, or has not one token per patch.
        DataError: tokens are NaN or infinite, or are the same for both images; or there is no norm.
    """
    rows, columns = small_grid(backbone)
    size = (2, 3, rows * backbone.patch_size, columns * backbone.patch_size)
    images = torch.randint(256, size, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    layers = backbone.layers
    wanted = (2, rows, columns, backbone.channels(norm))
    try:
        found = [tokens.patches for tokens in backbone(images, layers=layers, norm=norm)]
        if shapes := {tuple(tokens.shape) for tokens in found} - {wanted}:
            raise ValueError(f"tokens {list(shapes.pop())} instead of {list(wanted)}")
    except PatchlensError:
        raise
    except Exception as error:  # whatever the architecture makes of its input
        reason = brief(said(error))
        raise SettingsError(
            f"{where}: '{arch}' fails at its first forward pass ({reason}); choose another "
            "architecture, other arch_args or another position"
        ) from None
    for layer, tokens in enumerate(found):
        if not tokens.isfinite().all():
            raise DataError(f"{origin}: the tokens of layer {layer} are NaN or infinite")
        if torch.equal(tokens[0], tokens[1]):
            raise DataError(f"{origin}: the tokens of layer {layer} do not depend on the image")


def small_grid(backbone: Backbone) -> tuple[int, int]:
    """Rows and columns of patches of the images of a trial, as small as the model takes."""
    size = getattr(backbone, "trial_size", None)
    if size is None:
        return GRID
    return size[0] // backbone.patch_size, size[1] // backbone.patch_size


def _repeated(found: Tensor, tokens: Tokens, batch: Tensor) -> Iterator[Finding]:
    scale = CLOSE * found.abs().max()
    same = bool((tokens(batch) - found).abs().max() <= scale)
    yield Finding(
        "repeatable",
        "the same image gives the same tokens",
        "" if same else "the same images give other tokens; switch off dropout (`eval()`)",
        certain=True,
    )
    alone = bool((tokens(batch[:1]) - found[:1]).abs().max() <= scale)
    yield Finding(
        "batch",
        "an image gives the same tokens alone and in a batch",
        ""
        if alone or not same
        else "tokens depend on the other images of a batch; a batch norm must use its stored "
        "statistics (`eval()`)",
        certain=True,
    )


def _order(
    plain: Tensor,
    tokens: Tokens,
    image: Tensor,
    paint: Tensor,
    grid: tuple[int, int],
) -> Finding:
    """Repaint one patch at a time, at most twelve, and see which token moves most."""
    rows, columns = grid
    side = image.shape[-1] // columns
    places = [divmod(int(i), columns) for i in torch.linspace(0, rows * columns - 1, 12).long()]
    places = list(dict.fromkeys(places))
    painted = image.repeat(len(places), 1, 1, 1)
    for one, (row, column) in zip(painted, places, strict=True):
        down, right = (slice(i * side, (i + 1) * side) for i in (row, column))
        one[:, down, right] = paint[:, down, right]
    moved = (tokens(painted) - plain).norm(dim=-1).flatten(1)
    most = [int(i) for i in moved.argmax(dim=1)]
    readings = {
        "in rows from the top left": [r * columns + c for r, c in places],
        "in columns": [c * rows + r for r, c in places],
        "from the bottom": [(rows - 1 - r) * columns + c for r, c in places],
        "from the right": [r * columns + columns - 1 - c for r, c in places],
        "from the bottom right": [(rows - 1 - r) * columns + columns - 1 - c for r, c in places],
    }
    hits = {
        name: sum(a == b for a, b in zip(most, expected, strict=True)) / len(places)
        for name, expected in readings.items()
    }
    (own, share), *others = hits.items()
    wrong, best = max(others, key=lambda item: item[1])
    hardly = moved.gather(1, torch.tensor(readings[own])[:, None]) < SLIGHT * moved.amax(1, True)
    lost = float(hardly.float().mean())
    if share >= 0.5 and lost < ELSEWHERE:
        return Finding("patch order", f"{share:.0%} of repainted patches move their own token most")
    if best >= 0.75:
        fault = f"tokens come {wrong}; return them {own}"
        return Finding("patch order", "", fault, certain=True)
    return Finding(
        "patch order",
        "",
        f"only {share:.0%} of repainted patches move their own token most, and {lost:.0%} hardly "
        f"move it; return tokens {own}, "
        "or expect features without a place",
    )


def _input(backbone: Backbone, found: Tensor, tokens: Tokens, batch: Tensor) -> Iterator[Finding]:
    low = min(-m / s for m, s in zip(backbone.mean, backbone.std, strict=True))
    high = max((1 - m) / s for m, s in zip(backbone.mean, backbone.std, strict=True))
    between = float((found[0] - found[1]).norm() / found[0].norm().clamp(min=1e-12))
    fault = ""
    if between < DEAF:
        fault = (
            f"two images differ by {between:.2%} of their tokens; if the model takes 0…255, set "
            "mean: [0, 0, 0] and std: [0.00392157, 0.00392157, 0.00392157]"
        )
    elif high - low > WIDE:
        fault = (
            f"the input reaches from {low:.0f} to {high:.0f}, right only for a model that takes "
            "0…255; else state mean and std of images in 0…1"
        )
    yield Finding(
        "input range", f"{low:.1f} to {high:.1f}; two images differ by {between:.0%}", fault
    )
    swapped = float((tokens(batch.flip(1)) - found).norm() / (found[0] - found[1]).norm())
    yield Finding(
        "channel order",
        f"RGB; as BGR, tokens move by {swapped:.0%} of what lies between two images",
        "" if swapped > CLOSE else "red and blue have the same effect; pass all three channels on",
    )


def _dimensions(flat: Tensor) -> Finding:
    spread = flat.std(dim=0)
    constant = int((spread <= 1e-6 * spread.max()).sum())
    live = flat[:, spread > 1e-6 * spread.max()]
    twins = live.shape[1] - len(torch.unique(live.T, dim=0)) if live.shape[1] else 0
    fault = ""
    if constant or twins:
        fault = (
            f"{constant} constant and {twins} repeated of {flat.shape[1]} dimensions; return the "
            "tokens themselves, without padding"
        )
    return Finding("dimensions", f"{flat.shape[1]}, none of them constant or repeated", fault)


def _layers(backbone: Backbone, batch: Tensor, norm: bool) -> Finding:
    layers = backbone.layers
    found = [t.patches for t in backbone(batch, layers=layers, norm=norm)] if layers else []
    pairs = zip(layers, layers[1:], found, found[1:], strict=False)
    same = [f"{a} and {b}" for a, b, one, other in pairs if torch.equal(one, other)]
    fault = f"layers {', '.join(same)} are equal; return each layer's own output" if same else ""
    return Finding("layers", f"{backbone.depth}, of which {len(layers)} of this stride", fault)


def _norm(found: Tensor, plain: Tensor) -> Finding:
    if found.shape == plain.shape and torch.equal(found, plain):
        return Finding("norm", "features.norm has no effect on this layer")
    return Finding("norm", "final norm applied (features.norm)")


def _dtype(found: Tensor) -> Finding:
    largest = float(found.abs().max())
    fault = ""
    if largest > FLOAT16:
        fault = f"a token of {largest:g} is beyond float16; set features.dtype: float32"
    elif found.dtype not in (torch.float32, torch.float64):
        fault = f"tokens are {found.dtype}; compute them in float32 (`model.float()`)"
    return Finding("dtype", f"{found.dtype}, at most {largest:.3g}", fault)
