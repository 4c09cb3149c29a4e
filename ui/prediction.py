"""A study, its answer and its maps, tied together for the page that shows them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from core.data.prepare import PreparedSeries
from core.data.study import Cohort, Fault, Study
from core.inference.cam import list_layers
from core.inference.prediction import Prediction
from core.models.checkpoint import CheckpointCard
from core.models.registry import find_architecture
from ui.loaders import load_predictor, load_stacks
from ui.slices import SliceStack
from ui.viewer import MapLayer, Maps

__all__ = ["layer_titles", "load_maps", "load_prediction", "strongest_slice", "study_stacks"]


@st.cache_resource(scope="session", max_entries=6, show_spinner="Predicting …")
def _predict(key: tuple[str, ...], _study: Study, _synthetic: bool) -> Prediction:
    return load_predictor(Path(key[0])).predict(_study, synthetic=_synthetic)


def load_prediction(checkpoint: Path, cohort: Cohort, study: Study) -> Prediction:
    """The answer for a study, computed once in a session and kept only there.

    Raises
    ------
    SequenceError, DataError, CheckpointError
        It cannot be given.
    """
    return _predict(_key(checkpoint, cohort, study), study, cohort.synthetic)


@st.cache_resource(scope="session", max_entries=4, show_spinner="Drawing the maps …")
def _explain(
    key: tuple[str, ...], method: str, target: int, layer: str, _prediction: Prediction, _stacks: list[SliceStack]
) -> Maps:
    from core.inference.cam import explain_many

    predictor = load_predictor(Path(key[0]))
    layers: dict[tuple[int, int], MapLayer] = {}
    for part in _prediction.series:
        number = next((n for n, stack in enumerate(_stacks) if stack.sequence == part.series.sequence), None)
        if number is None:
            continue
        cams = explain_many(predictor, part.prepared, method=method, target_class=target, layer=layer)
        for picture, cam in enumerate(cams):
            index = _stack_index(_stacks[number], cam.slice_index)
            if index is not None:
                heat = _lay_back(cam.heat, part.prepared, picture, _stacks[number])
                layers[number, index] = MapLayer(heat=heat, raw_max=cam.raw_max)
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


def layer_titles(card: CheckpointCard) -> dict[str, str]:
    """The layers that a checkpoint's maps may explain, with a title each."""
    layers = list_layers(find_architecture(card.config.architecture))
    titles = ("last layer", "finer", "finest")[: len(layers)]
    return dict(zip(layers, titles, strict=True))


def study_stacks(study: Study, prediction: Prediction | None) -> tuple[list[SliceStack], list[Fault]]:
    """The study's series for the viewer, in the usual order, with the answer for each slice that the model saw.

    Of several series of one sequence, the one that the model saw stands for it; without a prediction the first
    does, which is the one that it would see.
    """
    asked = {part.series.sequence: part for part in prediction.series} if prediction else {}
    first = {series.sequence: series for series in reversed(study.series)}
    chosen = [asked[sequence].series if sequence in asked else one for sequence, one in first.items()]
    stacks, faults = load_stacks(tuple(chosen))
    for number, stack in enumerate(stacks):
        if stack.sequence in asked:
            answers = {
                index: piece.probability
                for piece in asked[stack.sequence].slices
                if (index := _stack_index(stack, piece.slice_index)) is not None
            }
            stacks[number] = replace(stack, probabilities=answers)
    return stacks, faults


def strongest_slice(stacks: list[SliceStack], *, highest: bool = True) -> tuple[SliceStack, int] | None:
    """The slice with the highest (or lowest) probability of all that the model saw."""
    answers = [(value, stack, index) for stack in stacks for index, value in stack.probabilities.items()]
    if not answers:
        return None
    _, stack, index = (max if highest else min)(answers, key=lambda answer: answer[0])
    return stack, index


def _stack_index(stack: SliceStack, slice_index: int) -> int | None:
    """A slice's place in the viewer: its own index in a volume, its number among the readable loose pictures."""
    if stack.in_mm:
        return slice_index if slice_index < len(stack.pixels) else None
    found = np.flatnonzero(stack.positions == slice_index + 1)
    return int(found[0]) if found.size else None


def _lay_back(
    heat: NDArray[np.float32], prepared: PreparedSeries, picture: int, stack: SliceStack
) -> NDArray[np.float32]:
    source = prepared.frames[picture].to_source(heat)
    if stack.in_mm:
        return source
    # The viewer shows loose pictures padded to a square, in their own proportions.
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
