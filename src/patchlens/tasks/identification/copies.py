"""T2's degradations: their effects on the pixels of an image and on the positions of its points.

They act on the original image, before it becomes model input, so that all models see the same
copies. A point is x, y in pixels: pixel (row i, column j) covers [j, j+1) × [i, i+1), and its
centre is (j + 0.5, i + 0.5). This is the convention of Pillow's `Image.transform`, so the matrix
that moves the pixels is also the exact map of points. (Its bicubic kernel, a = −1, does not keep
slopes: it displaces details by up to a tenth of a pixel, equally in all directions.)
"""

import hashlib
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from patchlens.datasets.support import hash_order
from patchlens.tasks.identification.settings import Identification

Matrix = NDArray[np.float64]
Points = NDArray[np.float64]
# Outside the image: about the mean colour of ImageNet, so nearly 0 after normalisation.
FILL = (124, 116, 104)
FREQUENCY_STEP = 10  # standard deviation on 0..255 of frequency noise of severity 1
GEOMETRIC = ("shift", "rotation", "scale")


@dataclass(frozen=True)
class Copy:
    """A degraded copy of an image.

    Attributes:
        image_id: of the clean image.
        degradation, severity: as in `settings.Degradations`.
    """

    image_id: str
    degradation: str
    severity: float

    @property
    def copy_id(self) -> str:
        """The id of the copy in a feature file."""
        return f"{self.image_id}|{self.degradation}|{self.severity:.15g}"

    def generator(self, *salt: object) -> np.random.Generator:
        """Random numbers that depend on this copy only (by a hash), not on earlier draws.

        Args:
            salt: the purpose of the numbers, and the seed.
        """
        text = "|".join([*map(str, salt), self.copy_id])
        digest = hashlib.sha256(text.encode()).digest()
        return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))

    def of(self, image: Image.Image, seed: int) -> Image.Image:
        """The copy's pixels in RGB and the size of `image`; the same seed gives the same pixels."""
        severity = self.severity
        match self.degradation:
            case "blur":
                from scipy.ndimage import gaussian_filter  # slow to import: only where it blurs

                pixels = np.asarray(image, dtype=np.float32)
                return _image(gaussian_filter(pixels, sigma=(severity, severity, 0)))
            case "noise":
                shape = (image.height, image.width, 3)
                noise = self.generator("pixels", seed).standard_normal(shape)
                return _image(np.asarray(image) + severity * noise)
            case "frequency":
                noise = self._power_law((image.height, image.width), seed)
                return _image(np.asarray(image) + FREQUENCY_STEP * severity * noise)
            case "jpeg":
                stream = io.BytesIO()
                image.save(stream, "JPEG", quality=round(severity))
                with Image.open(stream) as decoded:
                    return decoded.convert("RGB")
            case "brightness":
                return ImageEnhance.Brightness(image).enhance(severity)
            case "contrast":
                return ImageEnhance.Contrast(image).enhance(severity)
            case "shift" | "rotation" | "scale":
                matrix = self.to_clean((image.height, image.width))
                return _moved(image, matrix, Image.Resampling.BICUBIC, FILL)
        raise ValueError(f"unknown degradation '{self.degradation}'")

    def to_clean(self, size: tuple[int, int]) -> Matrix:
        """The affine map [2, 3] from points of the copy to points of the clean image.

        Photometric degradations do not move points. `shift` moves the content right and down,
        `rotation` turns it counter-clockwise, `scale` enlarges it, both about the image's centre.

        Args:
            size: height and width of the image in pixels.
        """
        centre = np.array([size[1] / 2, size[0] / 2])
        linear = np.eye(2)
        match self.degradation:
            case "shift":
                return np.column_stack([linear, [-self.severity, -self.severity]])
            case "rotation":
                angle = math.radians(self.severity)
                # y points down, so this turns clockwise on the screen, back to the clean image.
                linear = np.array(
                    [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
                )
            case "scale":
                linear = linear / self.severity
        return np.column_stack([linear, centre - linear @ centre])

    def _power_law(self, size: tuple[int, int], seed: int) -> NDArray[np.float64]:
        """Gaussian noise [H, W, 3] with an amplitude spectrum of 1/f, of mean 0 and variance 1.

        Timmer and König, On generating power law noise, Astronomy & Astrophysics 300 (1995),
        707-710, in two dimensions: white Gaussian noise is weighted in the Fourier domain.
        """
        white = self.generator("pixels", seed).standard_normal((*size, 3))
        spectrum = np.fft.rfft2(white, axes=(0, 1))
        frequency = np.hypot(np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1]))
        weight = np.divide(1, frequency, out=np.zeros_like(frequency), where=frequency > 0)
        noise = np.fft.irfft2(spectrum * weight[..., None], s=size, axes=(0, 1))
        std = noise.std(axis=(0, 1))
        return np.asarray(np.divide(noise, std, out=np.zeros_like(noise), where=std > 0))


def copies(image_ids: Iterable[str], settings: Identification) -> list[Copy]:
    """The copies that the settings require: images in hash order, each with all conditions."""
    ids = hash_order(image_ids, settings.seed)
    chosen = ids if settings.images == "all" else ids[: settings.images]
    listed = settings.degradations.items()
    return [Copy(image_id, *condition) for image_id in chosen for condition in listed]


def mapped(matrix: Matrix, points: Points) -> Points:
    """Points x, y [..., 2] moved by an affine map [2, 3]."""
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])


def moved_area(area: NDArray[np.bool_], matrix: Matrix) -> NDArray[np.bool_]:
    """An area [H, W] moved like the pixels: by the nearest pixel, empty outside the image."""
    image = Image.fromarray(area.astype(np.uint8))
    return np.asarray(_moved(image, matrix, Image.Resampling.NEAREST, 0)) > 0


def _moved(
    image: Image.Image, matrix: Matrix, filtered: Image.Resampling, fill: int | tuple[int, ...]
) -> Image.Image:
    return image.transform(
        image.size,
        Image.Transform.AFFINE,
        tuple(float(value) for value in matrix.ravel()),
        resample=filtered,
        fillcolor=fill,
    )


def _image(pixels: NDArray[np.floating]) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
