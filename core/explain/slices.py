"""The maps of a study slice by slice, as they are written to files and reports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.data.prepare.examples import SeenSlice
from core.explain.cam import explain_many
from core.explain.overlay import blend
from core.inference.predict import Predictor
from core.inference.prediction import Prediction, SeriesPrediction, SlicePrediction
from core.progress import Progress, silent

SHOWN_PX = 256
"""Images are drawn at least this large, so that a small model input can be read."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MappedSlice:
    """One slice that the network saw, with its map."""

    part: SeriesPrediction
    seen: SeenSlice
    answer: SlicePrediction
    pixels: NDArray[np.uint8]
    """(size, size): the slice as the network saw it."""
    heat: NDArray[np.float32]
    """(size, size), 0..1: relative to the strongest of all slices that were mapped, so that a weak map looks weak."""
    raw_max: float
    """The map's maximum before scaling."""

    def draw(self, opacity: float) -> Image.Image:
        """The slice on the left, the same slice under its map on the right."""
        side = max(SHOWN_PX, self.pixels.shape[0])
        grey = np.asarray(Image.fromarray(self.pixels).resize((side, side), Image.Resampling.BILINEAR))
        heat = np.asarray(Image.fromarray(self.heat).resize((side, side), Image.Resampling.BILINEAR))
        return Image.fromarray(np.hstack([np.repeat(grey[..., None], 3, axis=2), blend(grey, heat, opacity)]))


def map_slices(
    predictor: Predictor,
    prediction: Prediction,
    *,
    method: str,
    layer: str,
    target: int,
    choose: Callable[[SeriesPrediction], Sequence[int]] | None = None,
    progress: Progress = silent,
) -> list[MappedSlice]:
    """Return the maps of a study's slices, series after series.

    Parameters
    ----------
    method, layer, target
        As :func:`core.explain.cam.explain_many`.
    choose
        Which examples of a series are mapped; by default all.

    Raises
    ------
    ConfigError
        No such method, layer or class.
    """
    found = []
    for part in prediction.series:
        wanted = list(range(len(part.slices)) if choose is None else choose(part))
        cams = explain_many(
            predictor, part.prepared, wanted, method=method, target_class=target, layer=layer, progress=progress
        )
        by_example = dict(zip(wanted, cams, strict=True))
        found += [
            (part, seen, *by_example[seen.example].of_slice(seen)) for seen in part.seen if seen.example in by_example
        ]
    strongest = max((raw_max for *_, raw_max in found), default=0.0)
    return [
        MappedSlice(
            part=part,
            seen=seen,
            answer=part.slices[seen.example],
            pixels=seen.take(part.prepared.pixels[seen.example]),
            heat=heat * np.float32(raw_max / strongest if strongest > 0 else 0),
            raw_max=raw_max,
        )
        for part, seen, heat, raw_max in found
    ]
