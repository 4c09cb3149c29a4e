"""A few tested images with their maps, to be seen beside the figures."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from core.explain.validation.saliency_result import MapExample
from core.explain.validation.tumour_images import TumourImageSet


def pick_examples(
    images: TumourImageSet,
    drawn: dict[tuple[str, str], NDArray[np.float32]],
    drawn_random: dict[tuple[str, str], NDArray[np.float32]],
    most: int = 4,
) -> Iterator[MapExample]:
    """Yield the first tested image of the first few studies; of a volume, the slice that shows most of the tumour."""
    start, seen = 0, set[str]()
    for part in images.parts:
        begin, start = start, start + len(part.prepared.pixels)
        if part.study_id in seen or len(seen) == most:
            continue
        seen.add(part.study_id)
        tumour = None if part.tumour is None else part.tumour[0]
        changed = None if part.changed is None else part.changed[0]
        volume = part.prepared.layers is not None
        layer = 0
        if volume:
            shows = images.heads[begin] if tumour is None else tumour
            layer = int(shows.reshape(len(shows), -1).sum(axis=1).argmax())
        pixels = part.prepared.pixels[0]
        channel = int((pixels.reshape(len(pixels), -1) > 0).any(axis=1).argmax()) if pixels.ndim > 2 else 0
        place = layer if volume else channel
        yield MapExample(
            study_id=part.study_id,
            sequence=part.sequence,
            slice_index=int(part.prepared.slice_index[0]),
            image=np.array(pixels if pixels.ndim == 2 else pixels[channel, layer] if volume else pixels[channel]),
            tumour=None if tumour is None else tumour[layer] if volume else tumour,
            changed=None if changed is None else changed[layer] if volume else changed,
            maps={key: _cut(maps[begin], place) for key, maps in drawn.items()},
            random_maps={key: _cut(maps[begin], place) for key, maps in drawn_random.items()},
        )


def _cut(heat: NDArray[np.float32], place: int) -> NDArray[np.float32]:
    """One slice's part of a map: of a volume's layers, or of the streams."""
    return heat if heat.ndim == 2 else heat[place]
