"""Slices as images for the screen: the same scale in millimetres for all, with the sides of the body marked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from core.mri import MRSequence, Plane

DARK = 20
"""Grey level, of 255, up to which a place counts as background."""

SIDES: Mapping[Plane, tuple[str, str]] = {
    Plane.AXIAL: ("R", "A"),
    Plane.CORONAL: ("R", "S"),
    Plane.SAGITTAL: ("A", "S"),
}
"""What lies at the left and at the upper edge of a slice in canonical display orientation."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SliceStack:
    """One series, ready to be shown."""

    sequence: MRSequence
    plane: Plane
    pixels: NDArray[np.uint8]
    """(slices, rows, columns), one window for the whole volume."""
    positions: NDArray[np.float64]
    """(slices,), ascending: millimetres along the plane's axis, or numbers 1, 2, ... where there is no geometry."""
    in_mm: bool
    spacing_mm: tuple[float, float]
    """Distance between rows and between columns; (1, 1) where there is no geometry."""
    blank: NDArray[np.bool_]
    """(slices,)"""
    box: tuple[int, int, int, int]
    """First and last row and column of what there is to see: what is shown in the middle of the square."""
    files: tuple[str, ...] = ()
    series_uid: str = ""
    """Of the series that these slices are; empty on a common grid."""
    on_grid: bool = False
    """Whether these are slices of a common grid, as the model saw them, and not the series' own."""
    probabilities: Mapping[int, float] = field(default_factory=dict)
    """Answer for each slice that the model saw, by slice index."""
    number: int = 1
    """Of several stacks of one sequence."""

    @property
    def title(self) -> str:
        """The sequence, with a number from the second stack of it on."""
        return str(self.sequence) if self.number == 1 else f"{self.sequence} ({self.number})"

    @property
    def extent_mm(self) -> float:
        """The longer side of the box."""
        top, bottom, left, right = self.box
        return max((bottom - top) * self.spacing_mm[0], (right - left) * self.spacing_mm[1])

    @property
    def step(self) -> float:
        """Median distance between neighbouring slices."""
        return float(np.median(np.diff(self.positions))) if len(self.positions) > 1 else 1.0


def find_box(pixels: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """The smallest box (top, bottom, left, right) around what is not dark in any slice; stops are exclusive."""
    brightest = pixels.max(axis=0)
    rows = np.flatnonzero((brightest > DARK).any(axis=1))
    columns = np.flatnonzero((brightest > DARK).any(axis=0))
    if not rows.size:
        return 0, pixels.shape[1], 0, pixels.shape[2]
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def nearest_slice(stack: SliceStack, position: float, *, seen_only: bool = False) -> int | None:
    """Index of the slice at a position, or None where the series does not reach so far.

    With `seen_only` it is the nearest of the slices that the model saw, however far it lies; where it saw none of the
    series, the slice there is what one compares with.
    """
    if seen_only and stack.probabilities:
        return min(stack.probabilities, key=lambda index: abs(stack.positions[index] - position))
    index = int(np.argmin(np.abs(stack.positions - position)))
    reach = max(stack.step, 1e-6) * 0.75
    return index if abs(float(stack.positions[index]) - position) <= reach else None


def plane_positions(stacks: list[SliceStack], *, seen_only: bool = False) -> list[float]:
    """Positions to step through, ascending.

    Those of the finest series, continued over the range of all; with `seen_only`, where the model looked in the
    series of which it saw most slices.
    """
    if seen_only:
        most = max(stacks, key=lambda stack: len(stack.probabilities))
        return [float(most.positions[index]) for index in sorted(most.probabilities)]
    finest = min(stacks, key=lambda stack: stack.step)
    low = min(float(stack.positions[0]) for stack in stacks)
    high = max(float(stack.positions[-1]) for stack in stacks)
    start = float(finest.positions[0])
    before = int(np.floor((start - low) / finest.step + 1e-6))
    after = int(np.floor((high - start) / finest.step + 1e-6))
    return [round(start + step * finest.step, 2) for step in range(-before, after + 1)]


def compose_slice(
    stack: SliceStack,
    index: int | None,
    *,
    field_mm: float,
    side_px: int = 512,
    tint: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Draw one slice into a black square, what there is to see in the middle.

    Parameters
    ----------
    stack
        The series.
    index
        Which slice; None leaves the square empty.
    field_mm
        Side of the square in millimetres, so that all series appear at one scale.
    side_px
        Side of the square in pixels.
    tint
        The slice with a map laid over it, (rows, columns, 3); the slice itself where it is None.

    Returns
    -------
    ndarray of shape (side_px, side_px, 3), uint8
    """
    canvas = Image.new("RGB", (side_px, side_px))
    if index is not None:
        rows, columns = stack.pixels.shape[1:]
        scale = side_px / field_mm
        size = (
            max(1, round(columns * stack.spacing_mm[1] * scale)),
            max(1, round(rows * stack.spacing_mm[0] * scale)),
        )
        source = Image.fromarray(stack.pixels[index]).convert("RGB") if tint is None else Image.fromarray(tint)
        image = source.resize(size, Image.Resampling.BICUBIC)
        top, bottom, left, right = stack.box
        middle = ((left + right) / 2 * stack.spacing_mm[1] * scale, (top + bottom) / 2 * stack.spacing_mm[0] * scale)
        canvas.paste(image, (round(side_px / 2 - middle[0]), round(side_px / 2 - middle[1])))
    _mark_sides(canvas, stack, field_mm)
    return np.asarray(canvas)


def _mark_sides(canvas: Image.Image, stack: SliceStack, field_mm: float) -> None:
    if stack.plane not in SIDES or not stack.in_mm:
        return
    side = canvas.width
    left, top = SIDES[stack.plane]
    pen = ImageDraw.Draw(canvas)
    letters = ImageFont.load_default(size=side // 26)
    grey = (170, 180, 190)
    pen.text((side * 0.02, side / 2), left, fill=grey, font=letters, anchor="lm")
    pen.text((side / 2, side * 0.02), top, fill=grey, font=letters, anchor="ma")
    length = 50 / field_mm * side
    edge = side * 0.975
    pen.line([(edge - length, edge), (edge, edge)], fill=grey, width=max(1, side // 256))
    pen.text((edge - length / 2, edge - side * 0.012), "5 cm", fill=grey, font=letters, anchor="ms")
