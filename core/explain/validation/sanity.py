"""Tests of a checkpoint's maps: do they point at the tumour, and do they depend on the learnt weights?

Only a synthetic cohort knows where its tumours are, and which pixels the biomarker changes: there a map can be right or
wrong. On any data a map must change when the learnt weights are replaced by random ones (Adebayo et al. 2018,
arXiv 1810.03292): one that does not shows the image, not the network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from core.data.prepare.examples import PreparedSeries
from core.data.study import Cohort
from core.errors import ConfigError
from core.evaluation.aggregate import log_odds
from core.evaluation.figure import Figure
from core.explain.cam import explain_each
from core.explain.methods import INPUT, METHODS, find_method
from core.explain.validation.map_examples import pick_examples
from core.explain.validation.randomisation import list_stages, randomise_from, replace_model
from core.explain.validation.road import measure_road
from core.explain.validation.saliency_result import MapScore, MapTest
from core.explain.validation.scores import (
    chance_level,
    clustered_mean,
    clustered_share,
    pointing_game,
    share_inside,
    similarity,
)
from core.explain.validation.tumour_images import TOLERANCE, TumourImageSet, choose_images, pool, pool_images, take
from core.inference.predict import Predictor
from core.progress import Progress, silent
from core.settings import Settings

Maps = dict[tuple[str, str], NDArray[np.float32]]
"""(Method, layer) -> maps (n, ...)."""


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
    """Test a checkpoint's maps.

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
        By default every method that explains a layer, at every layer that the architecture offers. Occlusion runs the
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
    images = pool_images(predictor, choose_images(predictor, cohort, settings, studies, per_series, progress))
    stages = list_stages(predictor.model)
    steps = len(stages) + len(combinations)
    progress(0, steps, "maps")
    maps = draw_all_maps(predictor, images.pooled, images.targets, combinations)
    similar, random_maps = compare_with_random(
        predictor, images, maps, stages, lambda done, stage: progress(done, steps, f"random weights down to {stage}")
    )
    road = _road_of(predictor, images)
    scores = []
    for done, (method, layer) in enumerate(combinations, start=len(stages)):
        progress(done, steps, f"{METHODS[method].title}, {layer}")
        drawn, random = maps[method, layer], random_maps[method, layer]
        scores.append(
            MapScore(
                method=method,
                layer=layer,
                similarity=tuple(found[method, layer] for found in similar),
                road=road(drawn[images.few]),
                random_road=road(random[images.few]),
                **_against_truth(drawn, random, images),
            )
        )
    progress(steps, steps, "")
    return MapTest(
        checkpoint=predictor.card.name,
        studies=len(np.unique(images.patients)),
        images=len(images.patients),
        volumes=images.pooled.layers is not None,
        tolerance_px=TOLERANCE * images.pooled.pixels.shape[-1],
        chance=_chance(images.tumour, images.heads, images.patients),
        near_chance=_chance(images.near, images.heads, images.patients),
        changed_chance=_chance(images.changed, images.heads[images.known], images.patients[images.known]),
        moved=share_moved(predictor, images),
        stages=tuple(stages),
        scores=tuple(scores),
        examples=tuple(pick_examples(images, maps, random_maps)),
    )


def list_combinations(
    predictor: Predictor, methods: Sequence[str] | None = None, layers: Sequence[str] | None = None
) -> list[tuple[str, str]]:
    """List each method with each layer that it explains; methods that explain none come last, once.

    Raises
    ------
    ConfigError
        There is no such method.
    """
    chosen = [find_method(name) for name in methods or METHODS if methods or METHODS[name].by_layer]
    places = layers or predictor.architecture.layers
    by_layer = [(method.name, layer) for layer in places for method in chosen if method.by_layer]
    return [*by_layer, *((method.name, INPUT) for method in chosen if not method.by_layer)]


def draw_all_maps(
    predictor: Predictor,
    pooled: PreparedSeries,
    targets: NDArray[np.int64],
    combinations: Sequence[tuple[str, str]],
) -> Maps:
    """Return maps by each method at each layer, each for the class `targets` (n,) of its image."""
    asked = [(method, None if layer == INPUT else layer) for method, layer in combinations]
    maps: Maps = {}
    for target in np.unique(targets):
        places = np.flatnonzero(targets == target)
        explained = explain_each(predictor, pooled, asked, places.tolist(), int(target))
        for key, cams in zip(combinations, explained, strict=True):
            if key not in maps:
                maps[key] = np.zeros((len(targets), *cams[0].heat.shape), np.float32)
            maps[key][places] = [cam.heat for cam in cams]
    return maps


def compare_with_random(
    predictor: Predictor, images: TumourImageSet, maps: Maps, stages: Sequence[str], report: Callable[[int, str], None]
) -> tuple[list[dict[tuple[str, str], Figure]], Maps]:
    """Return the similarity of maps with those of the network randomised down to each stage, and the last stage's maps.

    The last stage, at which every weight is random, maps all images; the others map the few.
    """
    similar: list[dict[tuple[str, str], Figure]] = []
    random_maps: Maps = {}
    for done, (stage, model) in enumerate(zip(stages, randomise_from(predictor.model, stages), strict=True)):
        report(done, stage)
        tested = np.arange(len(images.targets)) if stage == stages[-1] else images.few
        network, pooled = replace_model(predictor, model), take(images.pooled, tested)
        random_maps = draw_all_maps(network, pooled, images.targets[tested], list(maps))
        few = np.searchsorted(tested, images.few)
        similar.append(
            {
                key: similarity(drawn[images.few], random_maps[key][few], images.patients[images.few])
                for key, drawn in maps.items()
            }
        )
    return similar, random_maps


def share_moved(predictor: Predictor, images: TumourImageSet) -> Figure | None:
    """Return the share of images whose log-odds move the biomarker's way when nothing but the biomarker is changed."""
    paired = [part for part in images.parts if part.counterfactual is not None]
    if not paired:
        return None
    after = pool([part.counterfactual for part in paired if part.counterfactual is not None])
    before = take(images.pooled, images.known)
    fallen, risen = (log_odds(predictor.score(one), predictor.card.positive_class) for one in (before, after))
    rising = np.concatenate([np.full(len(part.prepared.pixels), part.rising) for part in paired])
    return clustered_share((risen > fallen) == rising, images.patients[images.known])


def _against_truth(
    maps: NDArray[np.float32], random: NDArray[np.float32], images: TumourImageSet
) -> dict[str, Figure | None]:
    """The figures of a score that need to know where the tumour is; all None where it is not known."""
    everywhere = np.arange(len(maps))

    def figure(
        measure: Callable[..., Figure],
        drawn: NDArray[np.float32],
        truth: NDArray[np.bool_] | None,
        rows: NDArray[np.int64] = everywhere,
    ) -> Figure | None:
        return None if truth is None else measure(drawn[rows], truth, images.patients[rows])

    return {
        "hits": figure(pointing_game, maps, images.tumour),
        "inside": figure(share_inside, maps, images.tumour),
        "random_hits": figure(pointing_game, random, images.tumour),
        "random_inside": figure(share_inside, random, images.tumour),
        "near_hits": figure(pointing_game, maps, images.near),
        "random_near_hits": figure(pointing_game, random, images.near),
        "changed_hits": figure(pointing_game, maps, images.changed, images.known),
        "changed_inside": figure(share_inside, maps, images.changed, images.known),
        "random_changed_hits": figure(pointing_game, random, images.changed, images.known),
    }


def _chance(truth: NDArray[np.bool_] | None, heads: NDArray[np.bool_], patients: NDArray[np.str_]) -> Figure | None:
    return None if truth is None else chance_level(truth, heads, patients)


def _road_of(predictor: Predictor, images: TumourImageSet) -> Callable[[NDArray[np.float32]], Figure | None]:
    """A function that scores maps of the few images by ROAD, which is defined here for single grey slices alone."""
    pixels = images.pooled.pixels[images.few]
    targets, patients = images.targets[images.few], images.patients[images.few]

    def score(changed: NDArray[np.uint8]) -> NDArray[np.float64]:
        logits = predictor.score(replace(images.pooled, pixels=changed))
        by_class = np.stack([log_odds(logits, index) for index in range(logits.shape[1])], axis=1)
        chosen: NDArray[np.float64] = by_class[np.arange(len(targets)), targets]
        return chosen

    def road(maps: NDArray[np.float32]) -> Figure | None:
        if pixels.ndim != 3:
            return None
        return clustered_mean(measure_road(pixels, maps, score), patients, signed=True)

    return road
