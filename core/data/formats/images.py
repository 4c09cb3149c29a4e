"""Loose images: PNG, JPEG and others of any mode, as one grey image, decoded within bounds.

What an image is, its content says: PNG files named .jpg are common in public cohorts.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from core.errors import DataError, LimitError
from core.settings import Settings, load_settings

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
"""The decoders that are allowed: Pillow's rarer ones are not run on untrusted files."""
DEEP_MODES = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
"""More than eight bits a pixel."""
PILLOW_ERRORS = (OSError, SyntaxError, ValueError, TypeError, EOFError, struct.error, zlib.error, IndexError, KeyError)
"""What Pillow raises on damaged files, as its documentation and its issues say."""


def read_image(path: Path, settings: Settings | None = None) -> NDArray[np.float32]:
    """Read an image as one grey image: float32 of shape (rows, columns), 0..255.

    Colour becomes luma (ITU-R 601); transparency is laid over black; the EXIF orientation is applied; of an
    animation the first frame is taken. Eight bits stay as they are. Deeper images are shifted and scaled so
    that their smallest and largest values become 0 and 255, for they do not say which range they use.

    Raises
    ------
    DataError
        Not an image, or a damaged one.
    LimitError
        More pixels than this installation accepts; nothing was decoded.
    """
    with _opened(path, settings or load_settings()) as image:
        upright = ImageOps.exif_transpose(image)
        if upright.mode in DEEP_MODES:
            return _stretch(np.asarray(upright, dtype=np.float64))
        if upright.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in upright.info:
            over = upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", over.size, (0, 0, 0, 255)), over).convert("RGB")
        return np.asarray(upright.convert("L"), dtype=np.float32)


def read_image_size(path: Path, settings: Settings | None = None) -> tuple[int, int]:
    """Read (rows, columns) from an image's header, as stored; raises as :func:`read_image` does."""
    with _opened(path, settings or load_settings()) as image:
        return image.height, image.width


@contextmanager
def _opened(path: Path, settings: Settings) -> Iterator[Image.Image]:
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > settings.file_pixels:
                raise _too_large(path, f"{image.height} x {image.width} pixels", settings)
            yield image
    except Image.DecompressionBombError as error:
        raise _too_large(path, "more pixels than a picture needs", settings) from error
    except UnidentifiedImageError as error:
        raise DataError(f"{path.name} is not a picture; PNG, JPEG, BMP, GIF, TIFF and WebP can be read.") from error
    except PILLOW_ERRORS as error:
        raise DataError(f"{path.name} is a damaged picture: {error}.") from error


def _too_large(path: Path, found: str, settings: Settings) -> LimitError:
    return LimitError(f"{path.name} claims {found}; at most {settings.file_pixels:,} are accepted.")


def _stretch(values: NDArray[np.float64]) -> NDArray[np.float32]:
    finite = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = finite.min(), finite.max()
    scaled = (finite - low) * (255 / (high - low)) if high > low else np.zeros_like(finite)
    return scaled.astype(np.float32)
