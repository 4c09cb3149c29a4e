"""Are the maps true? Where the tumour is known, do they point at it; and do they depend on what was learnt at all?

Two questions, two kinds of data. Only a synthetic cohort knows where its tumours are: there a map can be right or
wrong. On any data a map must change when the weights that were learnt are replaced by random ones (Adebayo et al.
2018, arXiv 1810.03292): one that does not shows the picture, not the network.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.data.cache import load_prepared
from core.data.prepare import PreparedSeries
from core.data.study import Cohort
from core.data.truth import draw_truth, has_truth, read_truth
from core.errors import ConfigError, DataError, EvaluationError
from core.evaluation.figure import Figure
from core.evaluation.influence import mean_interval, share_interval
from core.inference.cam import METHODS, explain_many, list_layers
from core.inference.map_test import MapExample, MapScore, MapTest
from core.inference.predict import Predictor, choose_series
from core.progress import Progress, silent
from core.settings import Settings

if TYPE_CHECKING:
    from torch import nn

__all__ = ["measure_maps", "randomise_from"]

LEAST_TUMOUR = 0.01
"""Pictures in which the tumour takes a smaller share of the square are left out: there is nothing to point at."""


CASCADE_PICTURES = 16
"""Pictures on which the cascade of randomised weights is looked at; every tested one serves for the other figures."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Pictures:
    """The pictures of one series that are tested."""

    study_id: str
    sequence: str
    prepared: PreparedSeries
    chosen: list[int]
    tumour: NDArray[np.bool_] | None
    """(chosen, size, size)."""


def measure_maps(
    predictor: Predictor,
    cohort: Cohort,
    settings: Settings,
    *,
    studies: int = 8,
    methods: Sequence[str] | None = None,
    layers: Sequence[str] | None = None,
    per_series: int = 2,
    progress: Progress = silent,
) -> MapTest:
    """Put a checkpoint's maps to the test.

    A map speaks for the class that the network itself finds more likely in that picture, as on the Predict page.

    Parameters
    ----------
    predictor
        Whose maps; left as it was.
    cohort
        Its first studies are taken. With truth (a synthetic cohort) only pictures that show the tumour are.
    settings
        Where the cache lies.
    studies
        How many studies at most.
    methods, layers
        By default every method, at every layer that the architecture offers.
    per_series
        How many pictures of each series at most, evenly spread.
    progress
        Called after each method at each layer.

    Raises
    ------
    DataError
        No picture can be tested.
    ConfigError
        No such method or layer, or a checkpoint that looks at more than one slice at once.
    """
    prep = predictor.card.config.prep
    if prep.form != "slice" or prep.channels != "grey" or prep.grid_mm:
        raise ConfigError(
            f"{predictor.card.name!r} looks at more than single slices in their own planes (form {prep.form}, channels "
            f"{prep.channels}, grid {prep.grid_mm:g} mm); the maps of such a checkpoint are drawn by explain and the "
            "Predict page, but not tested yet. Choose a checkpoint of single slices."
        )
    tested = list(_choose(predictor, cohort, settings, studies, per_series))
    if not tested:
        raise DataError(
            f"{cohort.root} has no picture to test maps on: none of its first {studies} studies can be used by "
            f"{predictor.card.name!r}, or none shows a tumour."
        )
    pooled = _pool(tested)
    targets = predictor.score(pooled).argmax(axis=1)
    few = np.unique(np.linspace(0, len(targets) - 1, min(CASCADE_PICTURES, len(targets))).astype(int))
    stages = list_stages(predictor.model)
    cascade = [_with_model(predictor, model) for model in randomise_from(predictor.model, stages)]
    combinations = [
        (method, layer)
        for layer in (layers or list_layers(predictor.architecture))
        for method in (methods or tuple(METHODS))
    ]
    patients = np.concatenate([np.full(len(part.chosen), part.study_id) for part in tested])
    masks = [part.tumour for part in tested if part.tumour is not None]
    known = np.concatenate(masks) if masks else None
    scores, drawn, drawn_random = [], {}, {}
    for done, (method, layer) in enumerate(combinations, start=1):
        maps = _draw_maps(predictor, pooled, targets, method, layer)
        random = _draw_maps(cascade[-1], pooled, targets, method, layer)
        between = [_draw_maps(one, _take(pooled, few), targets[few], method, layer) for one in cascade[:-1]]
        scores.append(
            MapScore(
                method=method,
                layer=layer,
                hits=_hits(maps, known, patients),
                inside=_inside(maps, known, patients),
                random_hits=_hits(random, known, patients),
                random_inside=_inside(random, known, patients),
                similarity=tuple(_similarity(maps[few], other) for other in (*between, random[few])),
            )
        )
        drawn[method, layer], drawn_random[method, layer] = maps, random
        progress(done, len(combinations), f"{METHODS[method].title}, {layer}")
    return MapTest(
        checkpoint=predictor.card.name,
        studies=len(np.unique(patients)),
        pictures=len(patients),
        chance=_chance(tested, known, patients),
        stages=tuple(stages),
        scores=tuple(scores),
        examples=tuple(_examples(tested, drawn, drawn_random)),
    )


def list_stages(model: nn.Module) -> list[str]:
    """Parts of a network that have weights, from its head down to its stem."""
    return [name for name, part in reversed(list(model.named_children())) if any(True for _ in part.parameters())]


def randomise_from(model: nn.Module, stages: Sequence[str], seed: int = 0) -> list[nn.Module]:
    """Copies of a network with random weights in the first stage, in the first two, and so on; `model` stays as it is."""
    import torch

    copies: list[nn.Module] = []
    current = copy.deepcopy(model)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        for stage in stages:
            current = copy.deepcopy(current)
            for module in current.get_submodule(stage).modules():
                reset = getattr(module, "reset_parameters", None)
                if callable(reset):
                    reset()
            copies.append(current.eval())
    return copies


def _choose(
    predictor: Predictor, cohort: Cohort, settings: Settings, studies: int, per_series: int
) -> Iterator[_Pictures]:
    known = has_truth(cohort.root)
    for study in list(cohort)[:studies]:
        truth = read_truth(cohort.root, study.study_id) if known else None
        for series in choose_series(study, predictor.card)[0]:
            prepared = load_prepared(series, predictor.card.config.prep, settings)
            tumour = draw_truth(truth, series, prepared, settings) if truth else None
            shows = np.arange(len(prepared.pixels))
            if tumour is not None:
                shows = np.flatnonzero(tumour.mean(axis=(1, 2)) >= LEAST_TUMOUR)
            if shows.size:
                count = min(per_series, shows.size)
                chosen = shows[((np.arange(count) + 0.5) * shows.size / count).astype(int)].tolist()
                yield _Pictures(
                    study_id=study.study_id,
                    sequence=str(series.sequence),
                    prepared=prepared,
                    chosen=chosen,
                    tumour=None if tumour is None else tumour[chosen],
                )


def _pool(tested: Sequence[_Pictures]) -> PreparedSeries:
    """All tested pictures as one series, so that they are mapped in full batches."""
    parts = [_take(part.prepared, part.chosen) for part in tested]
    return replace(
        parts[0],
        pixels=np.concatenate([part.pixels for part in parts]),
        slice_index=np.concatenate([part.slice_index for part in parts]),
    )


def _take(prepared: PreparedSeries, pictures: Sequence[int] | NDArray[np.int64]) -> PreparedSeries:
    places = np.asarray(pictures)
    return replace(prepared, pixels=np.array(prepared.pixels[places]), slice_index=prepared.slice_index[places])


def _with_model(predictor: Predictor, model: nn.Module) -> Predictor:
    other = copy.copy(predictor)
    other.model, other.lock = model, threading.Lock()
    return other


def _draw_maps(
    predictor: Predictor, pooled: PreparedSeries, targets: NDArray[np.int64], method: str, layer: str
) -> NDArray[np.float32]:
    """Maps (pictures, size, size), each for the class that the trained network finds more likely there."""
    maps = np.zeros(pooled.pixels.shape, np.float32)
    for target in np.unique(targets):
        places = np.flatnonzero(targets == target)
        cams = explain_many(predictor, pooled, places.tolist(), method, int(target), layer=layer)
        maps[places] = [cam.heat for cam in cams]
    return maps


def _hits(maps: NDArray[np.float32], known: NDArray[np.bool_] | None, patients: NDArray[np.str_]) -> Figure | None:
    """An empty map points nowhere, which is a miss."""
    if known is None:
        return None
    places = maps.reshape(len(maps), -1).argmax(axis=1)
    right = known.reshape(len(known), -1)[np.arange(len(known)), places] & (maps.reshape(len(maps), -1).max(axis=1) > 0)
    return _share(right, patients)


def _inside(maps: NDArray[np.float32], known: NDArray[np.bool_] | None, patients: NDArray[np.str_]) -> Figure | None:
    if known is None:
        return None
    total = maps.sum(axis=(1, 2))
    share = np.divide((maps * known).sum(axis=(1, 2)), total, out=np.zeros(len(maps), np.float64), where=total > 0)
    return _mean(share, patients)


def _chance(tested: Sequence[_Pictures], known: NDArray[np.bool_] | None, patients: NDArray[np.str_]) -> Figure | None:
    if known is None:
        return None
    heads = np.concatenate([part.prepared.pixels[part.chosen] > 0 for part in tested])
    return _mean((known & heads).sum(axis=(1, 2)) / np.maximum(heads.sum(axis=(1, 2)), 1), patients)


def _similarity(maps: NDArray[np.float32], others: NDArray[np.float32]) -> float:
    """Mean SSIM over the pictures (Wang et al. 2004; windows of 11, both maps 0..1)."""
    import torch
    from monai.metrics.regression import SSIMMetric

    metric = SSIMMetric(spatial_dims=2, data_range=1.0)
    values = metric(torch.from_numpy(maps)[:, None], torch.from_numpy(others)[:, None])
    assert isinstance(values, torch.Tensor)
    return float(values.mean())


def _share(right: NDArray[np.bool_], patients: NDArray[np.str_]) -> Figure:
    value, low, high = share_interval(right, np.zeros(len(right), int), patients)
    return Figure(value=value, low=low, high=high, n=len(right), method="Agresti and Coull, clustered by patient")


def _mean(values: NDArray[np.float64], patients: NDArray[np.str_]) -> Figure:
    try:
        value, low, high = mean_interval(values, np.zeros(len(values), int), patients)
    except EvaluationError as error:
        return Figure(value=float(values.mean()), low=None, high=None, n=len(values), reason=str(error))
    return Figure(value=value, low=low, high=high, n=len(values), method="influence function, clustered by patient")


def _examples(
    tested: Sequence[_Pictures],
    drawn: dict[tuple[str, str], NDArray[np.float32]],
    drawn_random: dict[tuple[str, str], NDArray[np.float32]],
    most: int = 4,
) -> Iterator[MapExample]:
    """The first picture of the first few studies."""
    start, seen = 0, set[str]()
    for part in tested:
        if part.study_id not in seen and len(seen) < most:
            seen.add(part.study_id)
            yield MapExample(
                study_id=part.study_id,
                sequence=part.sequence,
                slice_index=int(part.prepared.slice_index[part.chosen[0]]),
                picture=np.array(part.prepared.pixels[part.chosen[0]]),
                tumour=None if part.tumour is None else part.tumour[0],
                maps={key: maps[start] for key, maps in drawn.items()},
                random_maps={key: maps[start] for key, maps in drawn_random.items()},
            )
        start += len(part.chosen)
