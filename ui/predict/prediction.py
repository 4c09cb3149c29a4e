"""A study, its answer and its maps, tied together for the page that shows them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.config import PrepConfig
from core.data.prepare.examples import PreparedSeries, SeenSlice
from core.data.prepare.slices import lay_on_source
from core.data.study import Cohort, Fault, Study
from core.data.volume import read_volume
from core.explain.volume_map import VolumeImages, draw_volume, read_on_grid
from core.inference.prediction import Prediction, SeriesPrediction
from core.models.card import CheckpointCard
from core.models.registry import find_architecture
from core.mri import MRSequence, Plane
from ui.widgets.loaders import cache_by_scan, in_turn, load_predictor, load_stacks
from ui.widgets.slices import SliceStack, find_box
from ui.widgets.viewer import MapLayer, Maps

if TYPE_CHECKING:
    from core.explain.cam import CoarseMaps


@cache_by_scan(own=6, shared=6, spinner="Predicting …")
def _predict(key: tuple[str, ...], _study: Study, _synthetic: bool) -> Prediction:
    with in_turn():
        return load_predictor(Path(key[0])).predict(_study, synthetic=_synthetic)


def load_prediction(checkpoint: Path, cohort: Cohort, study: Study) -> Prediction:
    """The answer for a study, computed once in a session and kept only there; that for the sample is shared.

    Raises
    ------
    SequenceError, DataError, CheckpointError
        It cannot be given.
    """
    return _predict(_key(checkpoint, cohort, study), study, cohort.synthetic)


@cache_by_scan(own=4, shared=8)
def _map_parts(key: tuple[str, ...], target: int, _prediction: Prediction) -> list[CoarseMaps]:
    """What all methods and layers need of each part of a prediction: the network runs once for all of them."""
    from core.explain.cam import map_coarsely

    predictor = load_predictor(Path(key[0]))
    with in_turn():
        return [map_coarsely(predictor, part.prepared, target) for part in _prediction.series]


@cache_by_scan(own=2, shared=8, spinner="Drawing the maps …")
def _explain(
    key: tuple[str, ...], method: str, target: int, layer: str, _prediction: Prediction, _stacks: list[SliceStack]
) -> Maps:
    layers: dict[tuple[int, int], MapLayer] = {}
    parts = _map_parts(key, target, _prediction)
    for part, coarse in zip(_prediction.series, parts, strict=True):
        with in_turn():
            cams = coarse.draw(method, layer)
        for seen in part.seen:
            for number, stack in enumerate(_stacks):
                index = _stack_index(stack, seen, part)
                if index is None:
                    continue
                heat, raw_max = cams[seen.example].of_slice(seen)
                if not part.together:  # else the viewer shows the prepared images themselves
                    heat = _lay_back(heat, part.prepared, seen.example, stack)
                layers[number, index] = MapLayer(heat=heat, raw_max=raw_max)
    return layers


def load_maps(
    checkpoint: Path,
    cohort: Cohort,
    study: Study,
    prediction: Prediction,
    stacks: list[SliceStack],
    *,
    method: str,
    target: int,
    layer: str,
) -> Maps:
    """Maps of every slice that the model saw, laid back over the slices of the viewer."""
    return _explain(_key(checkpoint, cohort, study), method, target, layer, prediction, stacks)


@cache_by_scan(own=2, shared=4, spinner="Reading the volume …")
def _volume(
    key: tuple[str, ...],
    _study: Study,
    _stack: SliceStack,
    _part: SeriesPrediction | None,
    _maps: Mapping[int, NDArray[np.float32]],
    _prep: PrepConfig | None,
) -> VolumeImages:
    with in_turn():
        if _part is None or _prep is None:
            series = next(one for one in _study.series if one.series_uid == _stack.series_uid)
            return draw_volume(read_volume(series)[0], _maps)
        seen = _seen_of(_part, _stack.sequence)
        laid = {
            seen[index].slice_index: lay_on_source(heat, _part.prepared.frames[seen[index].example])
            for index, heat in _maps.items()
        }
        return draw_volume(read_on_grid(_part.together, _stack.sequence, _prep), laid)


def load_volume(
    study: Study,
    stack: SliceStack,
    maps: Mapping[int, NDArray[np.float32]],
    prediction: Prediction | None = None,
    prep: PrepConfig | None = None,
) -> VolumeImages:
    """A series as a volume with its maps, which are given by slice index of the viewer's stack.

    `prediction` and `prep` are needed where the stack lies on a common grid.

    Raises
    ------
    MGMTLabError
        It cannot be read, or is no volume.
    """
    parts = prediction.series if prediction and stack.on_grid else ()
    part = next((one for one in parts if one.together and _seen_of(one, stack.sequence)), None)
    digest = hashlib.blake2b(digest_size=8)
    for index, heat in sorted(maps.items()):
        digest.update(index.to_bytes(4) + heat.tobytes())
    files = [str(one.files[0]) for one in study.series if one.files]
    grid = str(prep and part and prep.grid_mm)
    return _volume((*files, stack.series_uid, stack.title, grid, digest.hexdigest()), study, stack, part, maps, prep)


def layer_titles(card: CheckpointCard) -> dict[str, str]:
    """The layers that a checkpoint's maps may explain, with a title each."""
    layers = find_architecture(card.config.architecture).layers
    titles = ("each stream", "joint layer") if "*" in layers[0] else ("last layer", "finer", "finest")[: len(layers)]
    return dict(zip(layers, titles, strict=True))


def study_stacks(study: Study, prediction: Prediction | None) -> tuple[list[SliceStack], list[Fault]]:
    """The study's series for the viewer, in the usual order, with the answer for each slice that the model saw.

    Of several series of one sequence, those that the model saw are shown; without a prediction the first one, which it
    would see. Where the model saw the series on a common grid, that is what is shown.
    """
    parts = prediction.series if prediction else ()
    on_grid = {seen.sequence: part for part in parts if part.together for seen in part.seen}
    own = [part.series for part in parts if not part.together]
    shown = {str(series.sequence) for series in own} | set(on_grid)
    first = {series.sequence: series for series in reversed(study.series)}
    stacks, faults = load_stacks((*own, *(one for sequence, one in first.items() if str(sequence) not in shown)))
    stacks += [_grid_stack(part, MRSequence(name)) for name, part in on_grid.items()]
    stacks.sort(key=lambda stack: list(MRSequence).index(stack.sequence))
    return [_with_answers(stack, parts) for stack in _number(stacks)], faults


def _number(stacks: Sequence[SliceStack]) -> list[SliceStack]:
    """Number the stacks of each sequence, so that two of one sequence have a title each."""
    counts: Counter[MRSequence] = Counter()
    numbered = []
    for stack in stacks:
        counts[stack.sequence] += 1
        numbered.append(replace(stack, number=counts[stack.sequence]))
    return numbered


def _grid_stack(part: SeriesPrediction, sequence: MRSequence) -> SliceStack:
    """The slices of one sequence as the model saw them, on the common grid."""
    seen = _seen_of(part, sequence)
    pixels = np.stack([one.take(part.prepared.pixels[one.example]) for one in seen])
    return SliceStack(
        sequence=sequence,
        plane=Plane.AXIAL,
        pixels=pixels,
        positions=np.array([one.position_mm for one in seen]),
        in_mm=True,
        spacing_mm=part.pixel_mm,
        blank=np.logical_not(pixels.any(axis=(1, 2))),
        box=find_box(pixels),
        on_grid=True,
    )


def _seen_of(part: SeriesPrediction, sequence: str) -> list[SeenSlice]:
    return sorted((one for one in part.seen if one.sequence == sequence), key=lambda one: one.slice_index)


def _with_answers(stack: SliceStack, parts: Sequence[SeriesPrediction]) -> SliceStack:
    answers = {
        index: part.slices[seen.example].probability
        for part in parts
        for seen in part.seen
        if (index := _stack_index(stack, seen, part)) is not None
    }
    return replace(stack, probabilities=answers) if answers else stack


def strongest_slice(stacks: list[SliceStack], *, highest: bool = True) -> tuple[SliceStack, int] | None:
    """The slice with the highest (or lowest) probability of all that the model saw."""
    answers = [(value, stack, index) for stack in stacks for index, value in stack.probabilities.items()]
    if not answers:
        return None
    _, stack, index = (max if highest else min)(answers, key=lambda answer: answer[0])
    return stack, index


def _stack_index(stack: SliceStack, seen: SeenSlice, part: SeriesPrediction) -> int | None:
    """A slice's place in a stack of the viewer; None where the stack is of another series.

    It is its own index in a volume, its number among the readable loose images, and its number among those that the
    model saw on a common grid.
    """
    if seen.sequence != stack.sequence or stack.series_uid != ("" if part.together else part.series.series_uid):
        return None
    if part.together:
        return [one.slice_index for one in _seen_of(part, stack.sequence)].index(seen.slice_index)
    if stack.in_mm:
        return seen.slice_index if seen.slice_index < len(stack.pixels) else None
    found = np.flatnonzero(stack.positions == seen.slice_index + 1)
    return int(found[0]) if found.size else None


def _lay_back(
    heat: NDArray[np.float32], prepared: PreparedSeries, image: int, stack: SliceStack
) -> NDArray[np.float32]:
    source = lay_on_source(heat, prepared.frames[image])
    if stack.in_mm or source.shape == stack.pixels.shape[1:]:
        return source
    # The viewer shows loose images padded to a square, in their own proportions.
    side = stack.pixels.shape[1]
    scale = side / max(source.shape)
    height, width = (max(1, round(length * scale)) for length in source.shape)
    canvas = np.zeros((side, side), np.float32)
    top, left = (side - height) // 2, (side - width) // 2
    drawn = Image.fromarray(source).resize((width, height), Image.Resampling.BILINEAR)
    canvas[top : top + height, left : left + width] = np.asarray(drawn)
    return canvas


def _key(checkpoint: Path, cohort: Cohort, study: Study) -> tuple[str, ...]:
    changed = str(checkpoint.stat().st_mtime) if checkpoint.is_file() else ""
    files = [str(one.files[0]) for one in study.series if one.files]
    return (str(checkpoint), changed, str(cohort.root), cohort.digest, study.study_id, *files)
