"""Are the maps true? Where the tumour is known, do they point at it; and do they depend on what was learnt at all?

Two questions, two kinds of data. Only a synthetic cohort knows where its tumours are, and which pixels the biomarker
changes: there a map can be right or wrong. On any data a map must change when the weights that were learnt are replaced by
random ones (Adebayo et al. 2018, arXiv 1810.03292): one that does not shows the image, not the network.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.data.prepare.examples import PreparedSeries
from core.data.study import Cohort
from core.errors import ConfigError
from core.evaluation.figure import Figure
from core.explain.cam import explain_each
from core.explain.methods import INPUT, METHODS, find_method
from core.explain.validation.road import measure_road
from core.explain.validation.saliency_result import MapExample, MapScore, MapTest
from core.explain.validation.scores import chance_of, hits, inside, mean_figure, share_figure, similarity, widen
from core.explain.validation.test_images import TestedImages, choose_images, pool, take
from core.inference.predict import Predictor
from core.progress import Progress, silent
from core.settings import Settings

if TYPE_CHECKING:
    from torch import nn


FEW = 16
"""Images on which the cascade of random weights and ROAD are looked at; every tested one serves for the other figures."""
TOLERANCE = 15 / 224
"""Distance from the tumour, as a share of the image's side, within which a peak counts as near: 15 pixels of 224, the
15 pixels that the pointing game was published with."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Material:
    """All tested images as one, and what is known of them."""

    parts: list[TestedImages]
    pooled: PreparedSeries
    patients: NDArray[np.str_]
    targets: NDArray[np.int64]
    """(images,): the class that the network finds more likely, for which the map speaks."""
    few: NDArray[np.int64]
    heads: NDArray[np.bool_]
    tumour: NDArray[np.bool_] | None
    near: NDArray[np.bool_] | None
    changed: NDArray[np.bool_] | None
    """Of the images in `known`."""
    known: NDArray[np.int64]
    """Numbers of the images whose counterfactual is known."""


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

    A map speaks for the class that the network itself finds more likely in that image, as on the Predict page.

    Parameters
    ----------
    predictor
        Whose maps, of slices, volumes or streams; left as it was.
    cohort
        Its first studies are taken. With truth (a synthetic cohort) only images that show the tumour are.
    settings
        Where the cache lies.
    studies
        How many studies at most.
    methods, layers
        By default every method that explains a layer, at every layer that the architecture offers. Occlusion asks the
        network a hundred times for each image: it is tested where it is named.
    per_series
        How many images of each series at most, evenly spread.
    progress
        Called after each study that is read, each network of the cascade, and each method at each layer.

    Raises
    ------
    DataError
        No image can be tested.
    ConfigError
        No such method or layer, or an ensemble.
    """
    if len(predictor.members) > 1:
        raise ConfigError(
            f"{predictor.card.name!r} is an ensemble of {len(predictor.members)} networks, whose maps are averaged; the test "
            "replaces the weights of one network: name the checkpoint of one of its members."
        )
    combinations = list_combinations(predictor, methods, layers)
    material = _gather(predictor, choose_images(predictor, cohort, settings, studies, per_series, progress))
    stages = list_stages(predictor.model)
    cascade = [_with_model(predictor, model) for model in randomise_from(predictor.model, stages)]
    road = _road_of(predictor, material)
    steps = len(stages) + len(combinations)
    progress(0, steps, "maps")
    drawn = _draw_maps(predictor, material.pooled, material.targets, combinations)
    drawn_random = _draw_maps(cascade[-1], material.pooled, material.targets, combinations)
    similar: dict[tuple[str, str], list[Figure]] = {key: [] for key in combinations}
    some = take(material.pooled, material.few)
    for done, (stage, network) in enumerate(zip(stages, cascade, strict=True)):
        progress(done, steps, f"random weights down to {stage}")
        last = network is cascade[-1]
        others = {} if last else _draw_maps(network, some, material.targets[material.few], combinations)
        for key, found in similar.items():
            other = drawn_random[key][material.few] if last else others[key]
            found.append(similarity(drawn[key][material.few], other, material.patients[material.few]))
    scores = []
    for done, (method, layer) in enumerate(combinations, start=len(stages)):
        progress(done, steps, f"{METHODS[method].title}, {layer}")
        maps, random = drawn[method, layer], drawn_random[method, layer]
        scores.append(
            MapScore(
                method=method,
                layer=layer,
                similarity=tuple(similar[method, layer]),
                road=road(maps[material.few]),
                random_road=road(random[material.few]),
                **_against_truth(maps, random, material),
            )
        )
    progress(steps, steps, "")
    return MapTest(
        checkpoint=predictor.card.name,
        studies=len(np.unique(material.patients)),
        images=len(material.patients),
        volumes=material.pooled.layers is not None,
        tolerance_px=TOLERANCE * material.pooled.pixels.shape[-1],
        chance=_chance(material.tumour, material.heads, material.patients),
        near_chance=_chance(material.near, material.heads, material.patients),
        changed_chance=_chance(material.changed, material.heads[material.known], material.patients[material.known]),
        moved=_moved(predictor, material),
        stages=tuple(stages),
        scores=tuple(scores),
        examples=tuple(_examples(material, drawn, drawn_random)),
    )


def list_combinations(
    predictor: Predictor, methods: Sequence[str] | None = None, layers: Sequence[str] | None = None
) -> list[tuple[str, str]]:
    """Each method with each layer that it explains; methods that explain none come last, once.

    Raises
    ------
    ConfigError
        There is no such method.
    """
    chosen = [find_method(name) for name in methods or METHODS if methods or METHODS[name].by_layer]
    places = layers or predictor.architecture.layers
    by_layer = [(method.name, layer) for layer in places for method in chosen if method.by_layer]
    return [*by_layer, *((method.name, INPUT) for method in chosen if not method.by_layer)]


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


def _gather(predictor: Predictor, parts: list[TestedImages]) -> _Material:
    pooled = pool([part.prepared for part in parts])
    masks = [part.tumour for part in parts if part.tumour is not None]
    tumour = np.concatenate(masks) if masks else None
    heads: NDArray[np.bool_] = np.asarray(pooled.pixels) > 0
    if heads.ndim > 3 + (pooled.layers is not None):
        heads = np.asarray(heads.any(axis=1), bool)
    changes = [part.changed for part in parts if part.changed is not None]
    known = np.concatenate([np.full(len(part.prepared.pixels), part.changed is not None) for part in parts])
    count = len(pooled.pixels)
    return _Material(
        parts=parts,
        pooled=pooled,
        patients=np.concatenate([np.full(len(part.prepared.pixels), part.study_id) for part in parts]),
        targets=predictor.score(pooled).argmax(axis=1),
        few=np.unique(np.linspace(0, count - 1, min(FEW, count)).astype(int)),
        heads=heads,
        tumour=tumour,
        near=None if tumour is None else widen(tumour, TOLERANCE * tumour.shape[-1]),
        changed=np.concatenate(changes) if changes else None,
        known=np.flatnonzero(known),
    )


def _with_model(predictor: Predictor, model: nn.Module) -> Predictor:
    other = copy.copy(predictor)
    other.model, other.lock = model, threading.Lock()
    return other


def _draw_maps(
    predictor: Predictor,
    pooled: PreparedSeries,
    targets: NDArray[np.int64],
    combinations: Sequence[tuple[str, str]],
) -> dict[tuple[str, str], NDArray[np.float32]]:
    """Maps by each method at each layer, each for the class that the trained network finds more likely there."""
    asked = [(method, None if layer == INPUT else layer) for method, layer in combinations]
    maps: dict[tuple[str, str], NDArray[np.float32]] = {}
    for target in np.unique(targets):
        places = np.flatnonzero(targets == target)
        for key, cams in zip(
            combinations, explain_each(predictor, pooled, asked, places.tolist(), int(target)), strict=True
        ):
            if key not in maps:
                maps[key] = np.zeros((len(targets), *cams[0].heat.shape), np.float32)
            maps[key][places] = [cam.heat for cam in cams]
    return maps


def _against_truth(
    maps: NDArray[np.float32], random: NDArray[np.float32], material: _Material
) -> dict[str, Figure | None]:
    """The figures of a score that need to know where the tumour is; all None where it is not known."""
    tumour, near, changed, known, patients = (
        material.tumour, material.near, material.changed, material.known, material.patients,
    )  # fmt: skip
    return {
        "hits": None if tumour is None else hits(maps, tumour, patients),
        "inside": None if tumour is None else inside(maps, tumour, patients),
        "random_hits": None if tumour is None else hits(random, tumour, patients),
        "random_inside": None if tumour is None else inside(random, tumour, patients),
        "near_hits": None if near is None else hits(maps, near, patients),
        "random_near_hits": None if near is None else hits(random, near, patients),
        "changed_hits": None if changed is None else hits(maps[known], changed, patients[known]),
        "changed_inside": None if changed is None else inside(maps[known], changed, patients[known]),
        "random_changed_hits": None if changed is None else hits(random[known], changed, patients[known]),
    }


def _chance(truth: NDArray[np.bool_] | None, heads: NDArray[np.bool_], patients: NDArray[np.str_]) -> Figure | None:
    return None if truth is None else chance_of(truth, heads, patients)


def _road_of(predictor: Predictor, material: _Material) -> Callable[[NDArray[np.float32]], Figure | None]:
    """How maps of the few are scored by ROAD, which is defined here for single grey slices alone."""
    images = material.pooled.pixels[material.few]
    targets, patients = material.targets[material.few], material.patients[material.few]

    def score(changed: NDArray[np.uint8]) -> NDArray[np.float64]:
        logits = predictor.score(replace(material.pooled, pixels=changed)).astype(np.float64)
        own = logits[np.arange(len(targets)), targets]
        logits[np.arange(len(targets)), targets] = -np.inf
        others: NDArray[np.float64] = np.logaddexp.reduce(logits, axis=1)
        return own - others

    def road(maps: NDArray[np.float32]) -> Figure | None:
        if images.ndim != 3:
            return None
        return mean_figure(measure_road(images, maps, score), patients, signed=True)

    return road


def _moved(predictor: Predictor, material: _Material) -> Figure | None:
    """Share of images whose answer moves the way of the biomarker when nothing but the biomarker is changed."""
    paired = [part for part in material.parts if part.counterfactual is not None]
    if not paired:
        return None
    positive = predictor.card.positive_class
    after = predictor.score(pool([part.counterfactual for part in paired if part.counterfactual is not None]))
    before = predictor.score(take(material.pooled, material.known))
    others = [index for index in range(before.shape[1]) if index != positive]
    rise = [
        logits[:, positive].astype(np.float64) - np.logaddexp.reduce(logits[:, others].astype(np.float64), axis=1)
        for logits in (before, after)
    ]
    rising = np.concatenate([np.full(len(part.prepared.pixels), part.rising) for part in paired])
    return share_figure((rise[1] > rise[0]) == rising, material.patients[material.known])


def _examples(
    material: _Material,
    drawn: dict[tuple[str, str], NDArray[np.float32]],
    drawn_random: dict[tuple[str, str], NDArray[np.float32]],
    most: int = 4,
) -> Iterator[MapExample]:
    """The first tested image of the first few studies; of a volume, the slice that shows most of the tumour."""
    start, seen = 0, set[str]()
    for part in material.parts:
        begin, start = start, start + len(part.prepared.pixels)
        if part.study_id in seen or len(seen) == most:
            continue
        seen.add(part.study_id)
        tumour = None if part.tumour is None else part.tumour[0]
        changed = None if part.changed is None else part.changed[0]
        volume = part.prepared.layers is not None
        layer = 0
        if volume:
            shows = material.heads[begin] if tumour is None else tumour
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
