"""Loose images: PNG, JPEG and others of any mode, as one grey image, decoded within bounds.

What an image is, its content says: PNG files named .jpg are common in public cohorts.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from core.data.formats.discovery import IMAGE_STARTS
from core.data.study import ImageSize
from core.errors import DataError, LimitError
from core.mri import READER_VERSION
from core.settings import Settings, load_settings

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
"""The decoders that are allowed: Pillow's rarer ones are not run on untrusted files."""
DEEP_MODES = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
"""More than eight bits a pixel."""
PAGED = frozenset({"TIFF", "GIF", "WEBP", "PNG"})
"""Formats whose pages or frames are slices; further images in a JPEG (MPO) are previews."""
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0
SAMPLE_FORMAT, UNSIGNED = 339, 1
NEW_SUBFILE_TYPE, NO_SLICE = 254, 0b101
"""Tag of TIFF; its bits for a reduced-resolution image and for a mask."""
PILLOW_ERRORS = (OSError, SyntaxError, ValueError, TypeError, EOFError, struct.error, zlib.error, IndexError, KeyError)
"""What Pillow raises on damaged files, as its documentation and its issues say."""


def read_image(path: Path, settings: Settings | None = None) -> NDArray[np.float32]:
    """Read an image by itself as one grey image: float32 of shape (rows, columns), 0..255; of several pages the first.

    Raises as :func:`read_images` does of a file.
    """
    return _scale([_read_pages(path, settings or load_settings(), first_only=True)[0]])[0]


def read_images(
    paths: Sequence[Path], settings: Settings | None = None, *, version: int = READER_VERSION
) -> list[list[NDArray[np.float32]] | DataError]:
    """Read the images of one series as grey ones: float32 of shape (rows, columns), 0..255.

    Colour becomes luma (ITU-R 601); transparency is laid over black; the EXIF orientation is applied. Eight bits stay as
    they are. Deeper images are shifted and scaled so that their smallest and largest values become 0 and 255, for they do
    not say which range they use: together, so that what differs in brightness between slices is kept.

    Parameters
    ----------
    paths
        The files, in order.
    settings
        The limits; this installation's by default.
    version
        ``PrepConfig.reader_version``: 1 scales each deep image by itself, and takes the first page alone.

    Returns
    -------
    list
        For each file its pages, or why it cannot be read: DataError where it is not an image, is damaged, or holds pages of
        different sizes; LimitError where it has more pixels than this installation accepts, of which nothing was decoded.
    """
    settings = settings or load_settings()
    found: list[list[_Page] | DataError] = []
    for path in paths:
        try:
            found.append(_read_pages(path, settings, first_only=version == 1))
        except DataError as error:
            found.append(error)
    pages = [page for one in found if not isinstance(one, DataError) for page in one]
    scaled = iter(_scale(pages) if version > 1 else [_scale([page])[0] for page in pages])
    return [one if isinstance(one, DataError) else [next(scaled) for _ in one] for one in found]


def read_image_size(path: Path, settings: Settings | None = None) -> ImageSize:
    """Read (rows, columns, pages) from an image's header, as stored; raises as :func:`read_image` does."""
    with _opened(path, settings or load_settings()) as image:
        return image.height, image.width, len(_list_pages(path, image))


class _Page(NamedTuple):
    values: NDArray[Any]
    """(rows, columns): grey; 0..255 unless deep."""
    deep: bool


def _read_pages(path: Path, settings: Settings, *, first_only: bool) -> list[_Page]:
    with _opened(path, settings) as image:
        numbers = [0] if first_only else _list_pages(path, image)
        if len(numbers) * image.width * image.height > settings.file_pixels:
            raise _too_large(path, f"{len(numbers)} pages of {image.height} x {image.width} pixels", settings)
        pages = []
        for number in numbers:
            if number:
                image.seek(number)
            pages.append(_read_page(image, path.name))
        return pages


def _list_pages(path: Path, image: Image.Image) -> list[int]:
    """Return the numbers of the pages that are slices: all of an image but thumbnails and masks.

    Raises
    ------
    DataError
        They differ in size.
    """
    count = getattr(image, "n_frames", 1) if image.format in PAGED else 1
    if count == 1:
        return [0]
    pages: list[int] = []
    sizes: set[tuple[int, int]] = set()
    for number in range(count):
        image.seek(number)
        if int(getattr(image, "tag_v2", {}).get(NEW_SUBFILE_TYPE, 0)) & NO_SLICE == 0:
            pages.append(number)
            sizes.add(image.size)
    image.seek(0)
    if len(sizes) > 1:
        listed = ", ".join(f"{rows} x {columns}" for columns, rows in sorted(sizes))
        raise DataError(
            f"{path.name} holds pages of different sizes ({listed}), so they are no slices of one scan; save each by itself."
        )
    return pages or [0]


def _read_page(image: Image.Image, name: str) -> _Page:
    tags = getattr(image, "tag_v2", {})
    if image.mode not in DEEP_MODES and ";16" in str(getattr(image, "tile", "")):
        raise DataError(
            f"{name} has 16 bits in each of several channels, of which only 8 would be read; save it as a grey PNG of 16 bits."
        )
    upright = ImageOps.exif_transpose(image)
    if upright.mode in DEEP_MODES:
        values = np.asarray(upright)
        if upright.mode == "I" and tags.get(SAMPLE_FORMAT) == (UNSIGNED,):
            values = values.view(np.uint32)
        if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:  # of eight bits Pillow inverts it
            values = np.iinfo(values.dtype).max - values if values.dtype.kind == "u" else -values.astype(np.float64)
        return _Page(values, deep=True)
    if upright.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in upright.info:
        over = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", over.size, (0, 0, 0, 255)), over).convert("RGB")
    return _Page(np.asarray(upright.convert("L"), dtype=np.float32), deep=False)


def _scale(pages: Sequence[_Page]) -> list[NDArray[np.float32]]:
    """Bring the deep ones among some pages to 0..255, by the smallest and the largest value of them all."""
    deep = [
        np.nan_to_num(page.values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0) for page in pages if page.deep
    ]
    low, high = (min(one.min() for one in deep), max(one.max() for one in deep)) if deep else (0, 0)
    scaled = iter((one - low) * (255 / (high - low)) if high > low else np.zeros_like(one) for one in deep)
    return [next(scaled).astype(np.float32) if page.deep else page.values for page in pages]


@contextmanager
def _opened(path: Path, settings: Settings) -> Iterator[Image.Image]:
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > settings.file_pixels:
                raise _too_large(path, f"{image.height} x {image.width} pixels", settings)
            yield image
    except Image.DecompressionBombError as error:
        raise _too_large(path, "more pixels than an image needs", settings) from error
    except UnidentifiedImageError as error:
        with path.open("rb") as file:
            known = file.read(8).startswith(IMAGE_STARTS)
        said = (
            "is an image of a kind that is not read, or damaged; save it as a grey PNG of 8 or 16 bits"
            if known
            else "is not an image; PNG, JPEG, BMP, GIF, TIFF and WebP can be read"
        )
        raise DataError(f"{path.name} {said}.") from error
    except PILLOW_ERRORS as error:
        raise DataError(f"{path.name} is a damaged image: {error}.") from error


def _too_large(path: Path, found: str, settings: Settings) -> LimitError:
    return LimitError(f"{path.name} claims {found}; at most {settings.file_pixels:,} are accepted.")
